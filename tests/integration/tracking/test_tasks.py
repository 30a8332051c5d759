# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real worker did, by the journal of its tasks, and what the recorder says that it did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.servers import Database, DatabaseServer
from support.tracking import TrackedWorker
from support.waiting import wait_until

# In this order, for two processes: those that hold one come last.
CALLS = {
    "success": "echo.si({'article': 'tea', 'count': [1, 2]})",
    "failure": "order.si('tea')",
    "lost": "die.si()",
    "ignored": "ignore.si()",
    "rejected": "reject.si()",
    "too_long": "slow.si()",
    "progress": "count.si(2)",
    "terminated": "hold.si('never')",
    "never_started": "add.si(1, 2).set(countdown=3600)",
    "expired": "add.si(3, 4).set(expires=-60)",
    "scheduled": "add.si(5, 6).set(countdown=2, priority=3)",
    "nul": "echo.si('before\\x00after \\ud83d')",
}
Ids = dict[str, str]


def _row(database: Database, task_id: str) -> dict[str, Any]:
    columns = ["task_name", "status", "args", "kwargs", "error_message", "created_at", "started_at", "completed_at"]
    columns += ["retries", "worker_name", "progress_state", "progress"]
    (row,) = database.execute(f"SELECT {', '.join(columns)} FROM task_logs WHERE task_id = '{task_id}'")
    return dict(zip(columns, row, strict=True))


def _status(database: Database, task_id: str) -> str | None:
    rows = database.execute(f"SELECT status FROM task_logs WHERE task_id = '{task_id}'")
    return rows[0][0] if rows else None


def _attempts(database: Database, task_id: str) -> list[tuple[Any, ...]]:
    return database.execute(
        "SELECT h.attempt_number, h.status, h.error_message FROM task_execution_history h JOIN task_logs t"
        f" ON h.task_id = t.id WHERE t.task_id = '{task_id}' ORDER BY h.attempt_number"
    )


def _result(database: Database, task_id: str) -> tuple[Any, ...] | None:
    rows = database.execute(
        "SELECT r.status, r.result, r.traceback FROM task_results r JOIN task_logs t ON r.task_id = t.id"
        f" WHERE t.task_id = '{task_id}'"
    )
    return rows[0] if rows else None


@pytest.fixture(scope="module", params=["postgresql", "mariadb", "sqlite"])
def done(request: pytest.FixtureRequest) -> Iterator[tuple[Database, Ids, TrackedWorker]]:
    """Each kind of end that a task can come to, on each kind of database, by one worker that has gone by then."""
    server: DatabaseServer = request.getfixturevalue(request.param)
    database = server.new_database()
    with TrackedWorker(database.url) as worker:
        ids = dict(zip(CALLS, worker.send(*CALLS.values()), strict=True))
        wait_until(lambda: _status(database, ids["progress"]) and _row(database, ids["progress"])["progress"])
        first = _row(database, ids["progress"])
        assert (first["status"], first["progress_state"]) == ("STARTED", "PROGRESS")
        assert json.loads(first["progress"]) == {"current": 1, "total": 2}
        worker.touch("step-1")
        worker.touch("step-2")
        wait_until(lambda: _status(database, ids["terminated"]) == "STARTED", 60)
        worker.python(f"app.control.revoke({ids['terminated']!r}, terminate=True)")
        worker.python(f"app.control.revoke({ids['never_started']!r})")
        # A child that was killed is only given up after ten seconds.
        wait_until(lambda: _status(database, ids["lost"]) == "FAILURE", 60)
        wait_until(lambda: _status(database, ids["scheduled"]) == "SUCCESS", 60)
        wait_until(lambda: _status(database, ids["nul"]) == "SUCCESS", 60)
        wait_until(lambda: _status(database, ids["terminated"]) == "REVOKED", 60)
        wait_until(lambda: database.count("queue_stats") > 0)
        assert database.execute("SELECT worker_name, status FROM worker_status") == [("worker@test", "ONLINE")]
        worker.stop()
        yield database, ids, worker
    database.drop()


Done = tuple[Database, Ids, TrackedWorker]


def test_every_task_came_to_the_end_that_it_really_came_to(done: Done) -> None:
    database, ids, worker = done
    expected = {
        "success": "SUCCESS",
        "failure": "FAILURE",
        "lost": "FAILURE",
        "ignored": "IGNORED",
        "rejected": "FAILURE",
        "too_long": "FAILURE",
        "progress": "SUCCESS",
        "terminated": "REVOKED",
        "never_started": "PENDING",
        "expired": "REVOKED",
        "scheduled": "SUCCESS",
        "nul": "SUCCESS",
    }
    assert {name: _status(database, ids[name]) for name in CALLS} == expected, worker.text
    # Nothing else was recorded, and no attempt that was none.
    assert database.count("task_logs") == len(CALLS)
    attempts = database.execute(
        "SELECT t.task_id, h.attempt_number FROM task_execution_history h JOIN task_logs t ON h.task_id = t.id"
    )
    really = {(entry["id"], entry["attempt"]) for entry in worker.journal()}
    assert {tuple(attempt) for attempt in attempts} - {(ids["expired"], 1)} == really


def test_a_success_has_its_arguments_times_and_result(done: Done) -> None:
    database, ids, _worker = done
    row = _row(database, ids["success"])
    assert row["task_name"] == "shop.echo"
    assert row["args"] == "({'article': 'tea', 'count': [1, 2]},)"
    assert row["kwargs"] == "{}"
    assert row["worker_name"] == "worker@test"
    assert row["retries"] == 0
    assert row["error_message"] is None
    times = [str(row[name]) for name in ("created_at", "started_at", "completed_at")]
    assert times == sorted(times)
    status, result, traceback = _result(database, ids["success"]) or ()
    assert (status, json.loads(result), traceback) == ("SUCCESS", {"article": "tea", "count": [1, 2]}, None)
    (metadata,) = database.execute(
        "SELECT m.queue_name, m.root_id, m.eta FROM task_metadata m JOIN task_logs t ON m.task_id = t.id"
        f" WHERE t.task_id = '{ids['success']}'"
    )
    assert metadata == ("celery", ids["success"], None)


def test_three_retries_are_four_attempts(done: Done) -> None:
    database, ids, _worker = done
    error = "LookupError: no tea left"
    attempts = [(1, "RETRY", error), (2, "RETRY", error), (3, "RETRY", error), (4, "FAILURE", error)]
    assert _attempts(database, ids["failure"]) == attempts
    row = _row(database, ids["failure"])
    assert (row["retries"], row["error_message"]) == (3, error)
    status, result, traceback = _result(database, ids["failure"]) or ()
    assert (status, result) == ("FAILURE", None)
    assert traceback.startswith("Traceback")
    assert "no tea left" in traceback


def test_a_child_that_was_killed_has_told_its_start_and_its_parent_tells_the_end(done: Done) -> None:
    database, ids, _worker = done
    row = _row(database, ids["lost"])
    assert row["error_message"].startswith("WorkerLostError")
    assert row["started_at"] is not None
    assert [one[:2] for one in _attempts(database, ids["lost"])] == [(1, "FAILURE")]


def test_a_revoked_task_says_why(done: Done) -> None:
    database, ids, _worker = done
    terminated, expired = _row(database, ids["terminated"]), _row(database, ids["expired"])
    assert terminated["error_message"].startswith("terminated")
    assert terminated["started_at"] is not None
    assert (expired["error_message"], expired["started_at"]) == ("expired", None)
    assert expired["completed_at"] is not None


def test_a_time_limit_and_a_rejection_are_failures(done: Done) -> None:
    database, ids, _worker = done
    assert _row(database, ids["too_long"])["error_message"].startswith("TimeLimitExceeded")
    assert "not for us" in _row(database, ids["rejected"])["error_message"]
    assert _row(database, ids["ignored"])["completed_at"] is not None


def test_what_no_database_takes_is_replaced(done: Done) -> None:
    database, ids, _worker = done
    _told, result, _traceback = _result(database, ids["nul"]) or ()
    assert json.loads(result).startswith("before")
    assert json.loads(result).endswith("?")


def test_the_scheduled_task_has_its_time_and_priority(done: Done) -> None:
    database, ids, _worker = done
    ((eta, created),) = database.execute(
        "SELECT m.eta, t.created_at FROM task_metadata m JOIN task_logs t ON m.task_id = t.id"
        f" WHERE t.task_id = '{ids['scheduled']}'"
    )
    row = _row(database, ids["scheduled"])
    assert str(created) < str(eta) <= str(row["started_at"])


def test_the_worker_has_counted_and_gone(done: Done) -> None:
    database, _ids, worker = done
    ((status, active, processed, failed, dropped),) = database.execute(
        "SELECT status, active_tasks, processed_tasks, failed_tasks, dropped_records FROM worker_status"
    )
    assert (status, active, dropped) == ("OFFLINE", 0, 0)
    assert processed == len(worker.journal())
    # failure, lost, rejected and too_long
    assert failed == 4


def test_the_queue_was_looked_at(done: Done) -> None:
    database, _ids, _worker = done
    rows = database.execute("SELECT DISTINCT queue_name FROM queue_stats")
    assert rows == [("celery",)]
    assert all(count >= 0 for (count,) in database.execute("SELECT message_count FROM queue_stats"))
