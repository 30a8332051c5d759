# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows the records goes as they do: within the same limits and gates, around locks, and told if it is left."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database
from support.tables import Ago, Rows, create_django_celery_results, fill
from support.tables.rows import CHORD_COUNTER, DAY, GROUP_RESULT, TASK_RESULT, group_results, task_results
from support.waiting import time_passes

RECORDS, GROUPS, ORPHANS = 20, 60, 5


def _rows(database: Database) -> None:
    """Old records and groups, and counters of chords whose only member is such a record."""
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(RECORDS, days=10), task_results(3, days=1)])
    fill(database, GROUP_RESULT, [group_results(GROUPS, days=10), group_results(2, days=1)])
    members = database.execute(f"SELECT task_id FROM {TASK_RESULT} ORDER BY date_done, id LIMIT {ORPHANS}")
    for number, (member,) in enumerate(members):
        database.execute(
            f"INSERT INTO {CHORD_COUNTER} (group_id, sub_tasks, count) VALUES (:group, :members, 1)",
            group=f"group {number}",
            members=json.dumps([[[member, None], None]]),
        )


@pytest.fixture
def rows(make_database: Callable[..., Database]) -> Database:
    return make_database(_rows)


def _related(done: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {one["table"]: (one["matched"], one["deleted"]) for one in done["related"]}


def _left(database: Database) -> list[int]:
    return [database.count(table) for table in (TASK_RESULT, GROUP_RESULT, CHORD_COUNTER)]


ALL_GONE = {GROUP_RESULT: (GROUPS, GROUPS), CHORD_COUNTER: (ORPHANS, ORPHANS)}


def test_followers_go_in_batches_and_are_told_beforehand(rows: Database) -> None:
    plan = purge(rows, check=True)
    assert (plan["matched"], plan["remaining"]) == (RECORDS, RECORDS + GROUPS + ORPHANS)
    done = purge(rows, batch_size=7)
    assert (done["deleted"], done["stopped"], done["remaining"]) == (RECORDS, "drained", 0)
    assert (
        _related(done) == {table: (matched, matched) for table, (matched, _none) in _related(plan).items()} == ALL_GONE
    )
    assert done["batches"] >= (RECORDS + GROUPS) / 7
    assert _left(rows) == [3, 2, 0]
    assert purge(rows)["changed"] is False


@pytest.mark.parametrize("most", [1, ORPHANS, ORPHANS + RECORDS, ORPHANS + RECORDS + 1])
def test_max_rows_counts_them(rows: Database, most: int) -> None:
    done = purge(rows, max_rows=most)
    # Counters before the records that prove them orphans, groups after: what is left is found by the next run.
    orphans, records = min(most, ORPHANS), min(max(most - ORPHANS, 0), RECORDS)
    groups = most - orphans - records
    left = ORPHANS + RECORDS + GROUPS - most
    assert (done["deleted"], done["stopped"], done["remaining"]) == (records, "max_rows", left)
    assert _related(done) == {GROUP_RESULT: (GROUPS, groups), CHORD_COUNTER: (ORPHANS, orphans)}
    assert sum(_left(rows)) == 5 + left
    again = purge(rows)
    assert (again["stopped"], again["remaining"], _left(rows)) == ("drained", 0, [3, 2, 0])


def test_a_limit_that_is_met_with_the_last_of_them_stops_nothing(rows: Database) -> None:
    done = purge(rows, max_rows=RECORDS + GROUPS + ORPHANS)
    assert (done["stopped"], done["remaining"], _related(done)) == ("drained", 0, ALL_GONE)


def test_a_time_budget_ends_amid_them(rows: Database) -> None:
    used_up = time_passes(until=3, after=ORPHANS + RECORDS + 5)
    done = purge(rows, time_budget="3s", batch_size=5, watch=used_up)
    assert (done["deleted"], done["stopped"]) == (RECORDS, "time_budget")
    groups = _related(done)[GROUP_RESULT]
    assert 0 < groups[1] < groups[0] == GROUPS
    assert done["remaining"] == GROUPS - groups[1]
    assert rows.count(GROUP_RESULT) == GROUPS - groups[1] + 2


def test_queue_statistics_are_followers(task_logs: Database) -> None:
    fill(task_logs, "queue_stats", [Rows(30, {"queue_name": "q", "message_count": 1, "recorded_at": Ago(40 * DAY)})])
    done = purge(task_logs, profile="task_logs", max_rows=10)
    assert (_related(done), done["stopped"], done["remaining"]) == ({"queue_stats": (30, 10)}, "max_rows", 20)
    assert purge(task_logs, profile="task_logs", time_budget="0s")["remaining"] == 20
    assert purge(task_logs, profile="task_logs")["stopped"] == "drained"


def _once_records_are_gone(act: Callable[[], Any]) -> Callable[[Any], None]:
    """Return what watches a purge, and acts once when groups have their turn."""
    acted: list[Any] = []

    def watch(pace: Any) -> None:
        if pace.done >= ORPHANS + RECORDS and not acted:
            acted.append(act())

    return watch


def test_a_stop_file_ends_it_amid_them(rows: Database, tmp_path: Path) -> None:
    file = tmp_path / "stop"
    done = purge(rows, stop_file=str(file), batch_size=5, watch=_once_records_are_gone(file.touch))
    assert (done["deleted"], done["stopped"], done["remaining"]) == (RECORDS, "stop_file", GROUPS)
    assert _related(done) == {GROUP_RESULT: (GROUPS, 0), CHORD_COUNTER: (ORPHANS, ORPHANS)}
    assert any(line.endswith(f"{GROUPS} records still match") for line in done["report"])


def test_a_gate_that_closes_amid_them_ends_it(rows: Database) -> None:
    gates = {"condition": f"SELECT count(*) > 3 FROM {TASK_RESULT}", "patience": "1s"}
    done = purge(rows, gates=gates)
    assert (done["deleted"], done["stopped"], done["remaining"]) == (RECORDS, "gate", GROUPS)
    assert "the condition" in done["stopped_reason"]


def test_a_vacuum_of_a_follower_holds_up_that_follower(postgresql_database: Database) -> None:
    _rows(postgresql_database)
    engine = postgresql_database.engine()
    with engine.connect() as other, other.begin():
        other.execute(sa.text(f"LOCK TABLE {GROUP_RESULT} IN SHARE UPDATE EXCLUSIVE MODE"))
        done = purge(postgresql_database, gates={"vacuum": True, "patience": "1s"})
        assert (done["deleted"], done["stopped"], done["remaining"]) == (RECORDS, "gate", GROUPS)
        assert f"works on {GROUP_RESULT}" in done["stopped_reason"]
    engine.dispose()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_locked_followers_are_gone_around(request: pytest.FixtureRequest, kind: str) -> None:
    database: Database = request.getfixturevalue(f"{kind}_database")
    _rows(database)
    engine = database.engine()
    with engine.connect() as other, other.begin():
        for table in (GROUP_RESULT, CHORD_COUNTER):
            # One by one, for MariaDB reads a small table as a whole and locks all that it reads.
            for identifier in (1, 4):
                other.execute(sa.text(f"SELECT id FROM {table} WHERE id = {identifier} FOR UPDATE"))
        done = purge(database, batch_size=30)
    engine.dispose()
    # Who holds a counter may be at work on the chord, so its member stays as well.
    assert (done["deleted"], done["stopped"], done["remaining"]) == (RECORDS - 2, "gate", 4)
    assert (done["protected"], database.count(TASK_RESULT)) == (2, 5)
    assert _related(done) == {GROUP_RESULT: (GROUPS, GROUPS - 2), CHORD_COUNTER: (ORPHANS, ORPHANS - 2)}
    assert f"hold locks on rows of {GROUP_RESULT} and {CHORD_COUNTER} that match; 4 remain" in done["stopped_reason"]
    again = purge(database)
    assert (again["deleted"], again["stopped"], _left(database)) == (2, "drained", [3, 2, 0])


def test_a_writer_on_sqlite_holds_them_back(sqlite_database: Database) -> None:
    _rows(sqlite_database)
    with contextlib.ExitStack() as held:
        engine = sqlite_database.engine()
        held.callback(engine.dispose)
        other = held.enter_context(engine.connect())
        held.callback(other.rollback)
        done = purge(sqlite_database, watch=_once_records_are_gone(lambda: other.exec_driver_sql("BEGIN IMMEDIATE")))
    assert (done["deleted"], done["stopped"], done["remaining"]) == (RECORDS, "gate", GROUPS)
    assert "hold locks" in done["stopped_reason"]
    assert purge(sqlite_database)["stopped"] == "drained"


def test_a_chord_that_goes_on_meanwhile_lives(rows: Database) -> None:
    began: list[Any] = []

    def watch(_pace: Any) -> None:
        if not began:  # before the first batch
            began.append(rows.execute(f"UPDATE {CHORD_COUNTER} SET count = 0 WHERE group_id = 'group 2'"))

    done = purge(rows, watch=watch)
    assert (done["stopped"], done["remaining"], done["protected"]) == ("drained", 0, 1)
    assert (done["deleted"], _related(done)[CHORD_COUNTER]) == (RECORDS - 1, (ORPHANS - 1, ORPHANS - 1))
    (left,) = rows.execute(f"SELECT group_id, sub_tasks FROM {CHORD_COUNTER}")
    assert left[0] == "group 2"
    assert rows.count(TASK_RESULT) == 4


def test_many_orphans_take_few_statements(rows: Database) -> None:
    sub_tasks = rows.scalar(f"SELECT sub_tasks FROM {CHORD_COUNTER} WHERE group_id = 'group 1'")
    with rows.begin() as connection:
        connection.execute(
            sa.text(f"INSERT INTO {CHORD_COUNTER} (group_id, sub_tasks, count) VALUES (:group, :members, 1)"),
            [{"group": f"many {number}", "members": sub_tasks} for number in range(1200)],
        )
    done = purge(rows)
    assert _related(done)[CHORD_COUNTER] == (ORPHANS + 1200, ORPHANS + 1200)
    assert (done["stopped"], done["batches"] < 30) == ("drained", True)


def test_an_archive_has_them_all(rows: Database, tmp_path: Path) -> None:
    done = purge(rows, archive={"path": str(tmp_path)}, batch_size=7)
    assert (done["stopped"], done["archive"]["rows"]) == ("drained", RECORDS + GROUPS + ORPHANS)


def test_the_module_says_that_followers_are_left(fork_module: Callable[..., ModuleRun], rows: Database) -> None:
    done = fork_module("results_purge", {"database_url": rows.url, "max_rows": ORPHANS + RECORDS + 10})
    assert (done["stopped"], done["remaining"], done["changed"]) == ("max_rows", GROUPS - 10, True)
    assert f"  - {GROUP_RESULT}: 10 records with them" in done["report"]
