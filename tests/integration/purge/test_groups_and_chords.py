# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups and chords, as a real worker left them: one chord still waits for a member that hangs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database
from support.tables import fill
from support.tables.rows import CHORD_COUNTER, DAY, GROUP_RESULT, TASK_RESULT, group_results, task_results

WorkerRows = Callable[..., Any]


@pytest.fixture
def left(worker_rows: WorkerRows) -> Any:
    """Everything made half a year older, but for what hangs."""
    left = worker_rows(backend="django-db", results_version="2.5.1")
    for table in (TASK_RESULT, GROUP_RESULT):
        left.database.execute(f"UPDATE {table} SET date_done = '2020-01-01', date_created = '2020-01-01'")
    return left


def _ids(database: Database) -> set[str]:
    return {task for (task,) in database.execute(f"SELECT task_id FROM {TASK_RESULT}")}


def test_members_of_a_living_chord_stay_and_groups_go(left: Any) -> None:
    ids = left.ids
    plan = purge(left.database, check=True)
    done = purge(left.database)
    assert _ids(left.database) == {ids.hanging, ids.stuck_chord_hanging_member, ids.stuck_chord_finished_member}
    assert (plan["protected"], done["protected"], done["deleted"]) == (1, 1, 9)
    assert done["related"] == [{"table": GROUP_RESULT, "matched": 1, "deleted": 1}]
    assert [(one["table"], one["matched"]) for one in plan["related"]] == [(GROUP_RESULT, 1)]
    assert left.database.count(CHORD_COUNTER) == 1
    assert any("1 record kept" in line for line in done["report"])
    again = purge(left.database)
    assert (again["changed"], again["stopped"]) == (False, "drained")


def test_a_protected_member_is_read_by_its_application(left: Any) -> None:
    purge(left.database)
    assert left.application.read(left.ids.stuck_chord_finished_member).value == 6


def test_the_counter_of_a_chord_that_cannot_complete_goes_with_its_members(left: Any) -> None:
    # As zombie_fail leaves them: the member failed long ago, and nothing counts down any more.
    left.database.execute(f"UPDATE {TASK_RESULT} SET status = 'FAILURE' WHERE status = 'STARTED'")
    plan = purge(left.database, check=True)
    done = purge(left.database)
    assert _ids(left.database) == set()
    assert left.database.count(CHORD_COUNTER) == 0
    assert {one["table"]: one["deleted"] for one in done["related"]} == {GROUP_RESULT: 1, CHORD_COUNTER: 1}
    assert {one["table"]: one["matched"] for one in plan["related"]} == {GROUP_RESULT: 1, CHORD_COUNTER: 1}


def test_a_chord_with_a_young_member_lives(left: Any) -> None:
    left.database.execute(f"UPDATE {TASK_RESULT} SET status = 'FAILURE' WHERE status = 'STARTED'")
    now = {"postgresql": "timezone('UTC', now())", "mariadb": "utc_timestamp()", "sqlite": "datetime('now')"}
    left.database.execute(
        f"UPDATE {TASK_RESULT} SET date_done = {now[left.database.kind]} WHERE task_id = :member",
        member=left.ids.stuck_chord_finished_member,
    )
    done = purge(left.database)
    assert (done["protected"], left.database.count(CHORD_COUNTER)) == (1, 1)


def test_rules_that_keep_some_records_keep_groups_and_counters(left: Any) -> None:
    left.database.execute(f"UPDATE {TASK_RESULT} SET status = 'FAILURE' WHERE status = 'STARTED'")
    done = purge(left.database, [{"older_than": "7d", "statuses": ["SUCCESS"]}])
    assert (done["related"], left.database.count(GROUP_RESULT)) == ([], 1)
    assert left.database.count(CHORD_COUNTER) == 1


def test_everything_takes_groups_and_counters_too(left: Any) -> None:
    done = purge(left.database, [{"all": True}], confirm=TASK_RESULT)
    assert (done["deleted"], done["protected"]) == (12, 0)
    assert [left.database.count(table) for table in (TASK_RESULT, GROUP_RESULT, CHORD_COUNTER)] == [0, 0, 0]


def test_groups_go_by_the_longest_retention_of_finished_records(dcr: Database) -> None:
    fill(dcr, GROUP_RESULT, [group_results(3, 40), group_results(4, 20), group_results(5, 1)])
    rules = [
        {"statuses": ["SUCCESS"], "older_than": "30d"},
        {"statuses": ["FAILURE"], "older_than": "7d"},
        {"statuses": ["REVOKED"]},
    ]
    done = purge(dcr, rules)
    assert done["related"] == [{"table": GROUP_RESULT, "matched": 3, "deleted": 3}]
    assert (done["changed"], dcr.count(GROUP_RESULT)) == (True, 9)


def test_groups_of_celerys_own_backend(celery_tables: Database) -> None:
    for day in ("2020-01-01", "2999-01-01"):
        number = day[:4]
        celery_tables.execute(
            f"INSERT INTO celery_tasksetmeta (id, taskset_id, date_done) VALUES ({number}, '{number}', '{day}')"
        )
    done = purge(celery_tables, profile="celery_database")
    assert done["related"] == [{"table": "celery_tasksetmeta", "matched": 1, "deleted": 1}]
    assert celery_tables.execute("SELECT taskset_id FROM celery_tasksetmeta") == [("2999",)]


def _count_chord(database: Database, *members: str) -> None:
    database.execute(
        f"INSERT INTO {CHORD_COUNTER} (group_id, sub_tasks, count) VALUES ('chord', :members, 1)",
        members=json.dumps([[[member, None], None] for member in members]),
    )


AT_ANY_AGE = [
    {"name": "old", "older_than": "7d"},
    {"name": "revoked", "statuses": ["REVOKED"]},
    {"name": "add", "tasks": ["add"]},
]


def _while_it_runs(act: Callable[[], Any]) -> Callable[[Any], None]:
    """Return what watches a purge, and acts once, before its first batch."""
    acted: list[Any] = []

    def watch(_pace: Any) -> None:
        if not acted:
            acted.append(act())

    return watch


def test_members_of_a_chord_that_begins_meanwhile_stay(dcr: Database) -> None:
    fill(dcr, TASK_RESULT, [task_results(20), task_results(5, "REVOKED", 0), task_results(5, days=0)])

    def begin() -> None:
        _count_chord(dcr, "first", "second", "third")
        fill(dcr, TASK_RESULT, [task_results(1, days=0, task_id="first")])
        fill(dcr, TASK_RESULT, [task_results(1, "REVOKED", 0, task_id="second")])

    done = purge(dcr, AT_ANY_AGE, batch_size=7, watch=_while_it_runs(begin))
    assert (done["deleted"], done["stopped"], done["remaining"]) == (30, "drained", 0)
    assert _ids(dcr) == {"first", "second"}
    again = purge(dcr, AT_ANY_AGE)
    assert (again["changed"], again["protected"]) == (False, 2)


def test_a_member_that_ends_meanwhile_stays(dcr: Database) -> None:
    fill(dcr, TASK_RESULT, [task_results(20)])
    fill(dcr, TASK_RESULT, [task_results(1, "STARTED", 1, task_id="member")])
    _count_chord(dcr, "member")

    def end() -> None:
        dcr.execute(f"DELETE FROM {TASK_RESULT} WHERE task_id = 'member'")
        fill(dcr, TASK_RESULT, [task_results(1, days=0, task_id="member")])

    done = purge(dcr, AT_ANY_AGE, batch_size=7, watch=_while_it_runs(end))
    assert (done["deleted"], done["stopped"], _ids(dcr)) == (20, "drained", {"member"})


def test_a_member_that_is_to_be_ended_is_foretold(fork_module: Callable[..., ModuleRun], dcr: Database) -> None:
    fill(dcr, TASK_RESULT, [task_results(3, "STARTED", 2)])
    fill(dcr, TASK_RESULT, [task_results(1, "STARTED", 2, task_id="member")])
    _count_chord(dcr, "member")
    zombies = {"database_url": dcr.url, "rules": [{"statuses": ["STARTED"], "older_than": "1d"}]}
    rules = {"database_url": dcr.url, "rules": [{"statuses": ["FAILURE"]}]}
    plan = fork_module("results_purge", {**rules, "zombie_rules": zombies["rules"]}, check=True)
    assert fork_module("zombie_fail", zombies)["ended"] == 4
    done = fork_module("results_purge", rules)
    assert (plan["matched"], plan["protected"]) == (done["deleted"], done["protected"]) == (3, 1)


@pytest.mark.parametrize("rule", [{"statuses": ["SUCCESS", "FAILURE"]}, {"older_than": "1h"}])
def test_groups_whose_tasks_may_still_run_stay_at_any_rule(dcr: Database, rule: dict[str, Any]) -> None:
    ages = [1 / DAY, 2 / 24, 0.9, 1.1, 10]
    fill(dcr, GROUP_RESULT, [group_results(1, days, group_id=f"{days}") for days in ages])
    plan = purge(dcr, [rule], check=True)
    done = purge(dcr, [rule])
    assert [one["matched"] for one in plan["related"]] == [one["deleted"] for one in done["related"]] == [2]
    left = {float(days) for (days,) in dcr.execute(f"SELECT group_id FROM {GROUP_RESULT}")}
    assert (left, done["remaining"]) == (set(ages[:3]), 0)
    assert purge(dcr, [rule])["changed"] is False
