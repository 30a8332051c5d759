# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check, do, check again, do again, each with --diff: what is foretold is done, and done once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.running import ModuleRun
from support.servers import Database
from support.tables import dump, fill
from support.tables.rows import (
    GROUP_RESULT,
    TASK_RESULT,
    group_results,
    processing_rows,
    task_log_rows,
    task_metas,
    task_results,
)

RunModule = Callable[..., ModuleRun]
#: Tables whose rows match by themselves; those of children go with their records.
FOLLOWERS = (GROUP_RESULT, "celery_tasksetmeta", "queue_stats")


def _quartet(fork_module: RunModule, database: Database, table: str, **options: Any) -> ModuleRun:
    arguments = {"database_url": database.url, **options}
    full = dump(database)
    foretold = fork_module("results_purge", arguments, check=True, diff=True)
    assert not foretold.get("failed"), foretold
    assert dump(database) == full
    done = fork_module("results_purge", arguments, diff=True)
    assert not done.get("failed"), done
    purged = dump(database)
    nothing_left = fork_module("results_purge", arguments, check=True, diff=True)
    again = fork_module("results_purge", arguments, diff=True)
    assert dump(database) == purged

    assert [run["changed"] for run in (foretold, done, nothing_left, again)] == [True, True, False, False]
    assert foretold["diff"] == done["diff"]
    assert done["diff"]["before"] != done["diff"]["after"]
    assert nothing_left["diff"]["before"] == nothing_left["diff"]["after"] == done["diff"]["after"]
    assert again["diff"] == nothing_left["diff"]
    assert foretold["deleted"] == 0
    assert foretold["matched"] == done["matched"] == done["deleted"]
    followers = sum(one["matched"] for one in foretold["related"] if one["table"] in FOLLOWERS)
    assert foretold["remaining"] == foretold["matched"] + followers
    assert [rule["matched"] for rule in foretold["rules"]] == [rule["deleted"] for rule in done["rules"]]
    assert [(one["table"], one["matched"], 0) for one in done["related"]] == [
        (one["table"], one["matched"], one["deleted"]) for one in foretold["related"]
    ]
    assert all(one["matched"] == one["deleted"] for one in done["related"])
    assert done["before"]["total"] == len(full[table])
    assert done["after"]["total"] == foretold["after"]["total"] == len(purged[table])
    assert (done["stopped"], done["remaining"], again["deleted"]) == ("drained", 0, 0)
    assert "would delete" in foretold["report"][0]
    assert "would" not in done["report"][0]
    return done


def test_django_celery_results(fork_module: RunModule, dcr: Database) -> None:
    rows = [
        task_results(20, "SUCCESS", 10),
        task_results(3, "FAILURE", 8),
        task_results(4, "REVOKED", 1),
        task_results(2, "STARTED", 30),
        task_results(5, "SUCCESS", 6),
    ]
    fill(dcr, TASK_RESULT, rows)
    fill(dcr, "django_celery_results_groupresult", [group_results(2, 9), group_results(1, 1)])
    done = _quartet(fork_module, dcr, TASK_RESULT)
    assert {rule["name"]: rule["deleted"] for rule in done["rules"]} == {"old": 23, "revoked": 4}
    assert done["related"] == [{"table": "django_celery_results_groupresult", "matched": 2, "deleted": 2}]
    assert done["diff"]["after"].splitlines() == ["total: 7", "STARTED: 2", "SUCCESS: 5"]


def test_celery_taskmeta(fork_module: RunModule, celery_tables: Database) -> None:
    rows = [
        task_metas(20, "SUCCESS", 10),
        task_metas(4, "REVOKED", 1),
        task_metas(2, "STARTED", None),
        task_metas(5, "FAILURE", 2),
    ]
    fill(celery_tables, "celery_taskmeta", rows, clock="celery")
    done = _quartet(fork_module, celery_tables, "celery_taskmeta", profile="celery_database")
    assert {rule["name"]: rule["deleted"] for rule in done["rules"]} == {"old": 20, "revoked": 4}


def test_processing_tasks(fork_module: RunModule, processing_tasks: Database) -> None:
    rows = [
        processing_rows(6, "SUCCESS", 31),
        processing_rows(5, "SUCCESS", 29),
        processing_rows(4, "FAILURE", 8),
        processing_rows(3, "FAILURE", 6),
        processing_rows(2, "RUNNING", 90),
        processing_rows(1, "REVOKED", 90),
    ]
    fill(processing_tasks, "processing_tasks", rows)
    done = _quartet(fork_module, processing_tasks, "processing_tasks", profile="processing_tasks")
    assert {rule["name"]: rule["deleted"] for rule in done["rules"]} == {"failure": 4, "success": 6}


def test_task_logs_with_children(fork_module: RunModule, task_logs: Database) -> None:
    fill(task_logs, "task_logs", [task_log_rows(8, days=31), task_log_rows(4, days=29)])
    task_logs.execute("INSERT INTO task_metadata (task_id, queue_name) SELECT id, 'celery' FROM task_logs")
    for attempt in (1, 2):
        task_logs.execute(
            "INSERT INTO task_execution_history (task_id, attempt_number, status)"
            f" SELECT id, {attempt}, 'FAILURE' FROM task_logs"
        )
    task_logs.execute("INSERT INTO task_results (task_id, status) SELECT id, 'SUCCESS' FROM task_logs")
    done = _quartet(fork_module, task_logs, "task_logs", profile="task_logs")
    assert done["deleted"] == 8
    assert {one["table"]: one["deleted"] for one in done["related"]} == {
        "task_metadata": 8,
        "task_execution_history": 16,
        "task_results": 8,
    }
    assert task_logs.count("task_execution_history") == 8


@pytest.mark.parametrize("limit", [{"max_percent": 50}, {"max_percent": 79.9}])
def test_a_refusal_deletes_nothing(fork_module: RunModule, celery_tables: Database, limit: dict[str, Any]) -> None:
    fill(celery_tables, "celery_taskmeta", [task_metas(8, days=10), task_metas(2, days=1)], clock="celery")
    arguments = {"database_url": celery_tables.url, "profile": "celery_database", **limit}
    for check in (True, False):
        refused = fork_module("results_purge", arguments, check=check)
        assert refused["failed"]
        assert "8 of 10 rows" in refused["msg"]
    assert celery_tables.count("celery_taskmeta") == 10
