# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ends a purge early or slows it down, and what it says then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.engine import by_rule, purge
from support.running import ModuleRun
from support.servers import Database
from support.tables import create_django_celery_results, create_processing_tasks, fill
from support.tables.rows import GROUP_RESULT, TASK_RESULT, group_results, processing_rows, task_results
from support.waiting import time_passes

CleanupError = pytest.importorskip(
    "ansible_collections.fleetops.celery.plugins.module_utils._engine.errors"
).CleanupError
PROFILE = "processing_tasks"
RULES = [
    {"name": "old", "older_than": "7d"},
    {"name": "failure", "statuses": ["FAILURE"]},
]


def _tasks(database: Database) -> None:
    """Of 500 rows, the first rule takes 300, the second 100 of these and 50 others."""
    create_processing_tasks(database)
    rows = [
        processing_rows(200, "SUCCESS", 10),
        processing_rows(100, "FAILURE", 10),
        processing_rows(50, "FAILURE", 1),
        processing_rows(150, "SUCCESS", 1),
    ]
    fill(database, PROFILE, rows, order_by="created_at")


@pytest.fixture
def tasks(make_database: Callable[..., Database]) -> Database:
    return make_database(_tasks)


@pytest.mark.parametrize("most", [1, 50, 300, 349])
def test_max_rows_is_not_passed(tasks: Database, most: int) -> None:
    done = purge(tasks, RULES, profile=PROFILE, max_rows=most)
    assert (done["deleted"], done["stopped"], done["remaining"]) == (most, "max_rows", 350 - most)
    assert tasks.count(PROFILE) == 500 - most
    # A row counts for the first rule that takes it, in a run that is cut short as well.
    first = min(most, 300)
    assert by_rule(done) == {"old": (300, first), "failure": (50, most - first)}
    assert f"{350 - most:,} record" in done["report"][3]


@pytest.mark.parametrize("most", [1, 50, 300, 349])
def test_check_mode_foretells_where_max_rows_ends_it(tasks: Database, most: int) -> None:
    plan = purge(tasks, RULES, profile=PROFILE, max_rows=most, check=True)
    assert (plan["matched"], plan["deleted"], plan["remaining"], plan["stopped"]) == (350, 0, 350, "max_rows")
    assert plan["report"][0] == f"processing_tasks: would delete {most} of 350 records (500 → {500 - most})"
    assert f"it would end after {most} rows" in plan["report"][-1]
    done = purge(tasks, RULES, profile=PROFILE, max_rows=most)
    assert plan["after"]["by_status"] == done["after"]["by_status"]


def test_what_goes_beside_the_records_counts_for_max_rows_in_check_mode(make_database: Callable[..., Database]) -> None:
    def results(database: Database) -> None:
        create_django_celery_results(database)
        fill(database, TASK_RESULT, [task_results(10, "REVOKED", days=1), task_results(20), task_results(5, "FAILURE")])
        fill(database, GROUP_RESULT, [group_results(6)])

    database = make_database(results)
    assert purge(database, max_rows=41, check=True)["stopped"] == "drained"
    # What follows the records comes last.
    assert purge(database, max_rows=38, check=True)["after"]["total"] == 0
    plan, done = (purge(database, max_rows=30, check=check) for check in (True, False))
    assert plan["after"]["by_status"] == done["after"]["by_status"] == [{"status": "REVOKED", "count": 5}]
    assert (plan["stopped"], done["stopped"]) == ("max_rows", "max_rows")


def test_the_next_run_goes_on(tasks: Database) -> None:
    runs = [purge(tasks, RULES, profile=PROFILE, max_rows=200) for dummy in range(3)]
    assert [(run["deleted"], run["stopped"]) for run in runs] == [(200, "max_rows"), (150, "drained"), (0, "drained")]


def test_max_rows_beyond_what_matches_stops_nothing(tasks: Database) -> None:
    done = purge(tasks, RULES, profile=PROFILE, max_rows=351)
    assert (done["deleted"], done["stopped"], done["remaining"]) == (350, "drained", 0)


def test_no_time_deletes_nothing(tasks: Database) -> None:
    done = purge(tasks, RULES, profile=PROFILE, time_budget="0s")
    assert (done["deleted"], done["stopped"], done["remaining"], done["changed"]) == (0, "time_budget", 350, False)
    assert done["matched"] == 350


def test_a_time_budget_ends_between_two_batches(tasks: Database) -> None:
    used_up = time_passes(until=3, after=10)
    done = purge(tasks, RULES, profile=PROFILE, time_budget="3s", batch_size=10, watch=used_up)
    assert done["stopped"] == "time_budget"
    assert 0 < done["deleted"] < 350
    assert done["deleted"] + done["remaining"] == 350
    assert tasks.count(PROFILE) == 500 - done["deleted"]
    assert done["duration_seconds"] >= 3


def test_pauses_lie_between_batches(tasks: Database) -> None:
    done = purge(tasks, [{"older_than": "7d"}], profile=PROFILE, batch_size=60, pause=0.1)
    assert done["deleted"] == 300
    assert done["duration_seconds"] >= 0.1 * (done["batches"] - 1)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_batch_looks_at_no_more_rows_than_it_is_told(tasks: Database, size: int) -> None:
    done = purge(tasks, [{"older_than": "7d"}], profile=PROFILE, batch_size=size)
    assert (done["deleted"], done["stopped"]) == (300, "drained")
    assert done["batches"] >= 300 / size
    assert done["batches"] <= 500 / size + 3


def test_a_stop_file_ends_it(tasks: Database, tmp_path: Path) -> None:
    file = tmp_path / "stop here"
    assert purge(tasks, RULES, profile=PROFILE, max_rows=5, stop_file=str(file))["stopped"] == "max_rows"
    file.touch()
    done = purge(tasks, RULES, profile=PROFILE, stop_file=str(file))
    assert (done["deleted"], done["stopped"], done["remaining"]) == (0, "stop_file", 345)
    assert str(file) in done["stopped_reason"]
    file.unlink()
    assert purge(tasks, RULES, profile=PROFILE, stop_file=str(file))["deleted"] == 345


@pytest.mark.parametrize("check", [True, False])
def test_max_percent_refuses_more_and_takes_as_much(tasks: Database, check: bool) -> None:
    with pytest.raises(CleanupError, match=r"350 of 500 rows .*70\.0 %.*69\.9 %.*Nothing was deleted"):
        purge(tasks, RULES, profile=PROFILE, max_percent=69.9, check=check)
    assert tasks.count(PROFILE) == 500
    done = purge(tasks, RULES, profile=PROFILE, max_percent=70, check=check)
    assert done["matched"] == 350


def test_a_stopped_purge_leaves_followers_alone(task_logs: Database) -> None:
    task_logs.execute("INSERT INTO queue_stats (queue_name, message_count, recorded_at) VALUES ('q', 1, '2020-01-01')")
    task_logs.execute(
        "INSERT INTO task_logs (task_id, task_name, status, created_at) VALUES ('1', 'n', 'SUCCESS', '2020-01-01')"
    )
    done = purge(task_logs, profile="task_logs", time_budget="0s")
    assert done["related"] == [{"table": "queue_stats", "matched": 1, "deleted": 0}]
    assert (done["remaining"], task_logs.count("queue_stats")) == (2, 1)


def test_the_module_takes_every_limit(fork_module: Callable[..., ModuleRun], tasks: Database, tmp_path: Path) -> None:
    limits = {
        "max_rows": 20,
        "max_percent": 80,
        "time_budget": "1h",
        "batch_size": 15,
        "pause": "0s",
        "stop_file": str(tmp_path / "stop"),
        "lock_timeout": "1s",
    }
    done = fork_module("results_purge", {"database_url": tasks.url, "profile": PROFILE, "rules": RULES, **limits})
    assert (done["deleted"], done["stopped"], done["batches"]) == (20, "max_rows", 2), done
    assert (done["remaining"], done["changed"]) == (330, True)
    # Counted by status, as documented for a table of this size.
    assert {one["status"]: one["count"] for one in done["before"]["by_status"]} == {"FAILURE": 150, "SUCCESS": 350}
