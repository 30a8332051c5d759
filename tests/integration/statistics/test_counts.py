# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics of a table against numbers that were put into it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from support.engine import statistics
from support.running import ModuleRun
from support.servers import Database
from support.tables import (
    create_celery_tables,
    create_django_celery_results,
    create_processing_tasks,
    create_task_logs,
    dump,
    fill,
)
from support.tables.rows import TASK_RESULT, processing_rows, task_log_rows, task_metas, task_results

RunModule = Callable[..., ModuleRun]


def _documented(database: Database) -> None:
    """A tenth of the table in the second document, in the same proportions."""
    create_processing_tasks(database)
    rows = [
        processing_rows(1485, "SUCCESS", 3),
        processing_rows(50, "FAILURE", 3, task_type="VIDEO_SLICE"),
        processing_rows(5, "RETRY", 0.5, task_type="CAPCUT_EXPORT"),
        processing_rows(2, "RUNNING", 1.5),
        processing_rows(1, "RUNNING", 0.2),
        processing_rows(5, "PENDING", 0.25),
        processing_rows(7, "PENDING", 0.01),
    ]
    fill(database, "processing_tasks", rows)


@pytest.fixture
def documented(make_database: Callable[..., Database]) -> Database:
    return make_database(_documented)


def test_counts_shares_and_what_is_overdue(fork_module: RunModule, documented: Database) -> None:
    info = fork_module("results_info", {"database_url": documented.url, "profile": "processing_tasks"})
    assert info["changed"] is False
    stats = info["stats"]
    assert (stats["table"], stats["profile"], stats["total"]) == ("processing_tasks", "processing_tasks", 1555)
    assert stats["by_status"] == [
        {"status": "SUCCESS", "count": 1485, "percent": 95.5},
        {"status": "FAILURE", "count": 50, "percent": 3.2},
        {"status": "PENDING", "count": 12, "percent": 0.8},
        {"status": "RETRY", "count": 5, "percent": 0.3},
        {"status": "RUNNING", "count": 3, "percent": 0.2},
    ]
    assert stats["by_task"] == [
        {"task": "DOWNLOAD", "count": 1500, "percent": 96.5},
        {"task": "VIDEO_SLICE", "count": 50, "percent": 3.2},
        {"task": "CAPCUT_EXPORT", "count": 5, "percent": 0.3},
    ]
    assert stats["created_in_period"] == 5 + 1 + 5 + 7
    assert stats["overdue"] == [{"rule": "running", "count": 2}, {"rule": "pending", "count": 5}]
    assert stats["sessions"] is None
    assert "  Total records: 1,555" in info["report"]
    assert "    SUCCESS : 1,485 ( 95.5%)" in info["report"]
    assert "    pending (PENDING for more than 2h): 5" in info["report"]
    assert "  Created in the last 24h: 18" in info["report"]


def test_names_that_differ_by_case_are_counted_apart(make_database: Callable[..., Database]) -> None:
    def named(database: Database) -> None:
        create_django_celery_results(database)
        rows = [task_results(3, task_name="Shop.add"), task_results(2, task_name="shop.add")]
        fill(database, TASK_RESULT, [*rows, task_results(1, task_name=None)])

    counted = statistics(make_database(named))["stats"]["by_task"]
    assert [(one["task"], one["count"]) for one in counted] == [("Shop.add", 3), ("shop.add", 2), (None, 1)]


def test_oldest_and_newest_are_times_with_an_offset(documented: Database) -> None:
    stats = statistics(documented, profile="processing_tasks")["stats"]
    now = datetime.now(timezone.utc)
    oldest, newest = (datetime.fromisoformat(stats[word]) for word in ("oldest", "newest"))
    assert abs(now - timedelta(days=3, seconds=60) - oldest) < timedelta(minutes=5)
    assert abs(now - timedelta(days=0.01, seconds=60) - newest) < timedelta(minutes=5)


@pytest.mark.parametrize(("period", "created"), [("1h", 7), ("7d", 1555), ("2d", 20)])
def test_the_period_can_be_chosen(documented: Database, period: str, created: int) -> None:
    stats = statistics(documented, profile="processing_tasks", period=period)["stats"]
    assert stats["created_in_period"] == created


def test_zombie_rules_can_be_chosen(documented: Database) -> None:
    rules = [
        {"name": "soon", "statuses": ["running", "pending"], "since": "created", "older_than": "1h"},
        # What the first rule takes is not counted twice.
        {"name": "all", "statuses": ["RUNNING", "PENDING"], "since": "created", "older_than": "1m"},
    ]
    stats = statistics(documented, profile="processing_tasks", zombie_rules=rules)["stats"]
    assert stats["overdue"] == [{"rule": "soon", "count": 8}, {"rule": "all", "count": 7}]


def _many_names(database: Database) -> None:
    create_django_celery_results(database)
    rows = [task_results(20 - number, task_name=f"shop.tasks.t{number:02}") for number in range(12)]
    fill(database, TASK_RESULT, [*rows, task_results(30, task_name=None), task_results(4, "STARTED", task_name="")])


@pytest.mark.parametrize("top", [0, 1, 3, 10, 50])
def test_top_names(make_database: Callable[..., Database], top: int) -> None:
    info = statistics(make_database(_many_names), top=top)
    expected = [(None, 30), *((f"shop.tasks.t{number:02}", 20 - number) for number in range(12)), ("", 4)]
    assert [(one["task"], one["count"]) for one in info["stats"]["by_task"]] == expected[:top]
    told = any(f"top {top} of 14" in line for line in info["report"])
    assert told is (0 < top < 14)


def test_the_module_takes_its_options_and_changes_nothing(fork_module: RunModule, documented: Database) -> None:
    before = dump(documented)
    rules = [{"statuses": ["pending"], "since": "created", "older_than": "1m"}]
    arguments = {"profile": "processing_tasks", "top": 1, "period": "1h", "zombie_rules": rules}
    # By a role that may only read, where there are roles.
    stats = fork_module("results_info", {"database_url": documented.viewer_url, **arguments})["stats"]
    assert (len(stats["by_task"]), stats["created_in_period"], stats["overdue"][0]["count"]) == (1, 7, 12)
    assert dump(documented) == before


def test_each_version_of_django_celery_results(dcr: Database, results_version: str) -> None:
    fill(dcr, TASK_RESULT, [task_results(6), task_results(3, "STARTED", 2), task_results(1, "REVOKED", 0.1)])
    stats = statistics(dcr)["stats"]
    assert (stats["total"], stats["created_in_period"]) == (10, 1)
    assert stats["by_status"][0] == {"status": "SUCCESS", "count": 6, "percent": 60.0}
    assert [one["count"] for one in stats["overdue"]] == [3]


def test_celerys_own_backend_does_not_say_when_a_row_was_made(make_database: Callable[..., Database]) -> None:
    database = make_database(create_celery_tables)
    fill(database, "celery_taskmeta", [task_metas(4), task_metas(2, "STARTED", None)], clock="celery")
    stats = statistics(database, profile="celery_database")["stats"]
    assert (stats["total"], stats["created_in_period"], stats["overdue"]) == (6, None, [])


def test_statuses_in_several_spellings_are_one(make_database: Callable[..., Database]) -> None:
    database = make_database(create_task_logs)
    fill(database, "task_logs", [task_log_rows(3, "success"), task_log_rows(2, "Success"), task_log_rows(1, "STARTED")])
    stats = statistics(database, profile="task_logs")["stats"]
    assert [(one["status"], one["count"]) for one in stats["by_status"]] == [("SUCCESS", 5), ("STARTED", 1)]


def test_an_empty_table(make_database: Callable[..., Database]) -> None:
    info = statistics(make_database(create_django_celery_results))
    stats = info["stats"]
    assert (stats["total"], stats["by_status"], stats["by_task"]) == (0, [], [])
    assert (stats["oldest"], stats["newest"], stats["created_in_period"]) == (None, None, 0)
