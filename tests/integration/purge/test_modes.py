# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways of cleaning that users had in scripts of their own, each as rules."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.engine import by_rule, purge
from support.servers import Database
from support.tables import Ago, Rows, create_django_celery_results, fill
from support.tables.rows import DAY, TASK_RESULT, processing_rows, task_log_rows, task_results

HIGH_FREQUENCY = [
    "check_and_flush_callbacks",
    "cleanup_stuck_callbacks",
    "trigger_batch_send",
    "send_single_callback",
    "reload_worker_config",
]
BATCH = "customized.image_editor.tasks_batch."


def _shop(database: Database) -> None:
    create_django_celery_results(database)
    rows = [
        task_results(100, days=0.1, task_name=BATCH + "check_and_flush_callbacks"),
        task_results(20, days=40, task_name=BATCH + "cleanup_stuck_callbacks"),
        task_results(1, "STARTED", days=40, task_name=BATCH + "cleanup_stuck_callbacks"),
        task_results(6, days=8, task_name="agentic.tasks.run_graph_task"),
        task_results(5, days=2, task_name="agentic.tasks.run_graph_task"),
        task_results(3, "FAILURE", days=31, task_name="shop.image_editor.crop"),
    ]
    fill(database, TASK_RESULT, rows)


@pytest.fixture
def shop(make_database: Callable[..., Database]) -> Database:
    return make_database(_shop)


@pytest.mark.parametrize(("age", "old"), [("30d", 23), ("7d", 29), ("1d", 34), ("1h", 134)])
def test_by_age(shop: Database, age: str, old: int) -> None:
    assert purge(shop, [{"older_than": age}])["deleted"] == old
    assert shop.count(TASK_RESULT) == 135 - old


def test_high_frequency_tasks_by_a_part_of_the_name(shop: Database) -> None:
    done = purge(shop, [{"name": task, "tasks": [task]} for task in HIGH_FREQUENCY])
    assert by_rule(done) == {
        "check_and_flush_callbacks": (100, 100),
        "cleanup_stuck_callbacks": (20, 20),
        "trigger_batch_send": (0, 0),
        "send_single_callback": (0, 0),
        "reload_worker_config": (0, 0),
    }
    # The one that has not ended stays.
    assert (done["after"]["total"], done["deleted"]) == (15, 120)


@pytest.mark.parametrize(("part", "found"), [("image_editor", 123), ("run_graph_task", 11), ("no_such_task", 0)])
def test_one_task(shop: Database, part: str, found: int) -> None:
    done = purge(shop, [{"tasks": [part]}])
    assert done["deleted"] == found
    # There are names in this table, so a rule that finds none has nothing to be told of.
    assert done["rules"][0]["note"] is None


def test_everything(shop: Database) -> None:
    done = purge(shop, [{"all": True}], confirm=TASK_RESULT)
    assert (done["deleted"], shop.count(TASK_RESULT)) == (135, 0)
    assert "every row" in done["report"][1]


def test_retention_by_status(processing_tasks: Database) -> None:
    rows = [
        processing_rows(4, "FAILURE", 6),
        processing_rows(5, "FAILURE", 4),
        processing_rows(6, "SUCCESS", 8),
        processing_rows(7, "PENDING", 2),
        processing_rows(8, "RUNNING", 90),
        processing_rows(9, "RETRY", 90),
    ]
    fill(processing_tasks, "processing_tasks", rows)
    # As the script's --failure-retention 3 --success-retention 7.
    rules = [
        {"name": "failure", "statuses": ["FAILURE"], "older_than": "3d"},
        {"name": "success", "statuses": ["SUCCESS"], "older_than": "7d"},
    ]
    assert by_rule(purge(processing_tasks, rules, profile="processing_tasks")) == {"failure": (9, 9), "success": (6, 6)}


@pytest.mark.parametrize(("status", "age", "gone"), [("failure", "5d", 4), ("pending", "1d", 7), ("Pending", "3d", 0)])
def test_a_forced_status_in_any_case_of_a_native_enumeration(
    processing_tasks: Database, status: str, age: str, gone: int
) -> None:
    rows = [processing_rows(4, "FAILURE", 6), processing_rows(5, "FAILURE", 4), processing_rows(7, "PENDING", 2)]
    fill(processing_tasks, "processing_tasks", rows)
    rules = [{"statuses": [status], "older_than": age}]
    assert purge(processing_tasks, rules, profile="processing_tasks")["deleted"] == gone


def test_a_forced_status_where_the_table_spells_it_in_lower_case(task_logs: Database) -> None:
    rows = [task_log_rows(3, "failure"), task_log_rows(2, "Failure"), task_log_rows(4, "success")]
    fill(task_logs, "task_logs", rows)
    done = purge(task_logs, [{"statuses": ["FAILURE"], "older_than": "5d"}], profile="task_logs")
    assert (done["deleted"], done["after"]["by_status"]) == (5, [{"status": "SUCCESS", "count": 4}])


def test_age_or_revoked_with_its_breakdown(make_database: Callable[..., Database]) -> None:
    results = make_database(create_django_celery_results)
    rows = [
        task_results(190, "SUCCESS", 12),
        # A row counts once, for the first rule that takes it.
        task_results(8, "REVOKED", 12),
        task_results(47, "REVOKED", 2),
        task_results(798, "SUCCESS", 3),
    ]
    fill(results, TASK_RESULT, rows)
    done = purge(results)
    assert done["report"][:3] == [
        "django_celery_results_taskresult: deleted 245 records (1,043 → 798)",
        "  - old: 198 records (SUCCESS, FAILURE, REVOKED older than 7d)",
        "  - revoked: 47 records (REVOKED at any age)",
    ]
    assert (done["before"]["total"], done["after"]["total"]) == (1043, 798)


def test_old_records_go_with_their_children_and_the_statistics_of_queues(task_logs: Database) -> None:
    fill(
        task_logs, "task_logs", [task_log_rows(30, days=31), task_log_rows(2, "STARTED", 31), task_log_rows(9, days=1)]
    )
    task_logs.execute("INSERT INTO task_results (task_id, status) SELECT id, status FROM task_logs")
    queue = {"queue_name": "celery", "message_count": 1}
    fill(task_logs, "queue_stats", [_queue_rows(5, 31, queue), _queue_rows(6, 29, queue)])
    done = purge(task_logs, profile="task_logs", batch_size=7)
    # As cleanup_old_records(days=30): whatever their status.
    assert (done["deleted"], task_logs.count("task_logs"), task_logs.count("task_results")) == (32, 9, 9)
    assert {one["table"]: one["deleted"] for one in done["related"]} == {"task_results": 32, "queue_stats": 5}


def _queue_rows(count: int, days: float, values: dict[str, object]) -> Rows:
    return Rows(count, {**values, "recorded_at": Ago(days * DAY)})


@pytest.mark.parametrize("status", ["RUNNING", "PENDING", "RETRY"])
def test_unfinished_rows_are_never_deleted_by_age(processing_tasks: Database, status: str) -> None:
    fill(processing_tasks, "processing_tasks", [processing_rows(3, status, 900)])
    done = purge(processing_tasks, [{"older_than": "1d"}], profile="processing_tasks")
    assert (done["matched"], processing_tasks.count("processing_tasks")) == (0, 3)
    # Only a rule that names their status takes them.
    assert purge(processing_tasks, [{"statuses": [status]}], profile="processing_tasks")["deleted"] == 3
