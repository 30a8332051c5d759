# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups and chords, as a real worker left them: one chord still waits for a member that hangs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.engine import purge
from support.servers import Database
from support.tables import fill
from support.tables.rows import CHORD_COUNTER, GROUP_RESULT, TASK_RESULT, group_results

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
