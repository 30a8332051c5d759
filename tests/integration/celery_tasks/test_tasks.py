# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of the maintenance package, run by a real worker of an application that only has it on its path."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.applications import Application
from support.command import write_policy
from support.maintenance import MaintenanceWorker, maintenance_path
from support.servers import Database
from support.tables import (
    Ago,
    Rows,
    UniqueText,
    create_celery_tables,
    create_django_celery_results,
    create_processing_tasks,
    create_reading_sessions,
    dump,
    fill,
)
from support.tables.rows import TASK_RESULT, processing_rows, task_results

MakeDatabase = Callable[[Callable[[Database], None]], Database]
#: So that what a worker notes of its own tasks is not in the way.
RESULTS = "celery_taskmeta"


def _fill(database: Database) -> None:
    """As many results as document 3 has; tasks and sessions of each kind that the rules know."""
    create_celery_tables(database)
    create_django_celery_results(database)
    create_processing_tasks(database)
    create_reading_sessions(database)
    fill(
        database,
        TASK_RESULT,
        [task_results(198), task_results(47, "REVOKED", days=1), task_results(798, days=2)],
    )
    tasks = [
        processing_rows(2, "RUNNING", days=2),
        processing_rows(5, "PENDING", days=0.2),
        processing_rows(30, "FAILURE", days=9),
        processing_rows(40, "SUCCESS", days=31),
        processing_rows(60, "SUCCESS", days=20),
    ]
    fill(database, "processing_tasks", tasks)
    session = {"id": UniqueText(), "user_id": "user456", "book_id": "book789", "start_position": 3}
    sessions = [
        Rows(15, {**session, "is_active": True, "started_at": Ago(125 * 60 + 30)}),
        Rows(4, {**session, "is_active": True, "started_at": Ago(60)}),
    ]
    fill(database, "reading_sessions", sessions)


@pytest.fixture
def filled(make_database: MakeDatabase) -> Database:
    return make_database(_fill)


@pytest.fixture
def worker(filled: Database, tmp_path: Path) -> Iterator[MaintenanceWorker]:
    policy = write_policy(tmp_path / "policy.json", {"database_url": filled.url})
    with MaintenanceWorker(Application(filled, backend="database"), policy, level="DEBUG") as running:
        yield running
        # Whatever a test did.
        assert not filled.password or filled.password not in running.log


def _value(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["state"] == "SUCCESS", answer
    value: dict[str, Any] = answer["value"]
    return value


def test_results_are_cleaned_with_the_figures_and_lines_of_the_document(
    worker: MaintenanceWorker, filled: Database
) -> None:
    done = _value(worker.call("cleanup_celery_results"))
    assert done == {
        "total_deleted": 245,
        "deleted_old": 198,
        "deleted_revoked": 47,
        "before_count": 1043,
        "after_count": 798,
        "days_to_keep": 7,
        "remaining": 0,
        "stopped": "drained",
    }
    for line in (
        "Celery results cleanup completed: Deleted 245 records (1,043 → 798)\n",
        "  - Deleted old: 198 records older than 7 days\n",
        "  - Deleted revoked: 47 REVOKED tasks\n",
    ):
        assert line in worker.log
    assert filled.count(TASK_RESULT) == 798
    kept = _value(worker.call("cleanup_celery_results", days_to_keep=1, remove_revoked=False))
    assert (kept["total_deleted"], kept["deleted_old"], kept["deleted_revoked"]) == (798, 798, 0)


def test_processing_tasks_are_counted_first_and_then_cleaned(worker: MaintenanceWorker, filled: Database) -> None:
    before = filled.execute("SELECT id, status FROM processing_tasks ORDER BY id")
    planned = _value(worker.call("cleanup_processing_tasks_dry_run"))
    assert filled.execute("SELECT id, status FROM processing_tasks ORDER BY id") == before
    done = _value(worker.call("cleanup_processing_tasks"))
    for told in (planned, done):
        assert told["failed"] == {"running": 2, "pending": 5}
        assert told["deleted"] == {"failure": 30, "success": 40}
        assert (told["before_count"], told["after_count"]) == (137, 67)
    assert (planned["dry_run"], done["dry_run"]) == (True, False)
    assert all(line in worker.log for line in done["report"])
    statuses = dict(filled.execute("SELECT status, count(*) FROM processing_tasks GROUP BY status"))
    assert statuses == {"FAILURE": 7, "SUCCESS": 60}
    assert _value(worker.call("cleanup_processing_tasks"))["failed"] == {"running": 0, "pending": 0}


def test_abandoned_sessions_are_closed_and_counted(worker: MaintenanceWorker, filled: Database) -> None:
    began = datetime.now(timezone.utc)
    done = _value(worker.call("close_abandoned_sessions"))
    assert set(done) == {"closed_count", "execution_time_ms", "deadline", "error"}
    assert (done["closed_count"], done["error"]) == (15, None)
    assert done["execution_time_ms"] > 0
    assert abs(began - timedelta(hours=2) - datetime.fromisoformat(done["deadline"])) < timedelta(minutes=2)
    told = worker.log
    # In the document's order; after the second, each session.
    places = [
        told.index(line)
        for line in (
            "Starting close_abandoned_sessions task\n",
            "Found 15 abandoned sessions\n",
            "Closed session ",
            "Successfully closed 15/15 sessions\n",
            f"Closed 15 abandoned sessions in {done['execution_time_ms']:.2f}ms\n",
        )
    ]
    assert places == sorted(places)
    assert "Failed to close" not in told
    durations = re.findall(r"Closed session \S+ for user user456, book book789, duration (\d+)min\n", worker.log)
    assert len(durations) == 15
    # The rows are made once for all tests of a kind, some minutes before.
    assert all(125 <= int(one) <= 185 for one in durations)

    counted = _value(worker.call("get_cleanup_statistics", hours=24))
    assert counted.pop("avg_duration_minutes") == sum(map(int, durations)) / 15
    assert datetime.fromisoformat(counted.pop("timestamp")) > began - timedelta(minutes=1)
    assert counted == {
        "total_closed": 15,
        "total_active": 4,
        "no_progress_count": 15,
        "period_hours": 24,
    }
    # Celery itself tells what a task returned, for the sidecar keeps it nowhere.
    worker.wait_for("get_cleanup_statistics[", 5)
    assert re.search(r"get_cleanup_statistics\[\S+\] succeeded in \S+: .*'total_closed': 15", worker.log)
    assert _value(worker.call("close_abandoned_sessions"))["closed_count"] == 0


def test_a_session_that_cannot_be_closed_is_told(postgresql_database: Database, tmp_path: Path) -> None:
    _fill(postgresql_database)
    policy = write_policy(tmp_path / "policy.json", {"database_url": postgresql_database.url})
    engine = postgresql_database.engine()
    with (
        MaintenanceWorker(Application(postgresql_database, backend="database"), policy, level="DEBUG") as worker,
        engine.connect() as reader,
    ):
        first = sa.text("SELECT id FROM reading_sessions WHERE is_active ORDER BY started_at LIMIT 1 FOR UPDATE")
        held = reader.scalar(first)
        assert _value(worker.call("close_abandoned_sessions"))["closed_count"] == 14
        assert "Successfully closed 14/15 sessions\n" in worker.log
        assert re.findall(r"WARNING/.*Failed to close session (\S+): another session", worker.log) == [str(held)]
        assert f"Closed session {held} " not in worker.log
        reader.rollback()
        assert _value(worker.call("close_abandoned_sessions"))["closed_count"] == 1
    engine.dispose()


_HOLD = """
import sys
from celery_maintenance.engine.database import Database
from celery_maintenance.engine.table_lock import table_lock
from contextlib import ExitStack
with Database(sys.stdin.readline().strip()) as database, ExitStack() as held:
    for table in sys.argv[1:]:
        held.enter_context(table_lock(database, table))
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _held(database: Database, *tables: str) -> Iterator[None]:
    """Another run is at the tables."""
    program = [sys.executable, "-c", _HOLD, *tables]
    with subprocess.Popen(
        program, env={"PYTHONPATH": maintenance_path()}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(database.url + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        yield
        process.stdin.close()


def test_a_second_run_leaves_the_table_to_the_first(worker: MaintenanceWorker, filled: Database) -> None:
    before = dump(filled)
    tables = (TASK_RESULT, "processing_tasks", "reading_sessions")
    with _held(filled, *tables):
        results = _value(worker.call("cleanup_celery_results"))
        processing = _value(worker.call("cleanup_processing_tasks"))
        sessions = _value(worker.call("close_abandoned_sessions"))
        whole = _value(worker.call("run_policy"))
    for told, table in (
        (results["skipped"], tables[0]),
        (processing["skipped"], tables[1]),
        (sessions["error"], tables[2]),
    ):
        assert f"another run is cleaning {table}" in told
        assert told in worker.log
    assert whole["skipped"] == [*tables]
    assert [table["table"] for table in whole["tables"]] == [RESULTS]
    assert {**dump(filled), RESULTS: None} == {**before, RESULTS: None}
    assert _value(worker.call("run_policy"))["skipped"] == []


@pytest.mark.parametrize(
    ("task", "arguments", "words"),
    [
        ("cleanup_celery_results", {"days_to_keep": 0}, "days_to_keep must be a whole number from 1 on, not 0."),
        ("cleanup_celery_results", {"days_to_keep": "7"}, "days_to_keep must be a whole number"),
        ("cleanup_celery_results", {"remove_revoked": "no"}, "remove_revoked must be true or false"),
        ("get_cleanup_statistics", {"hours": 0}, "hours must be a whole number from 1 to 168, not 0."),
        ("get_cleanup_statistics", {"hours": 169}, "hours must be a whole number from 1 to 168, not 169."),
    ],
)
def test_wrong_arguments_are_told_and_change_nothing(
    sqlite_worker: MaintenanceWorker, task: str, arguments: dict[str, Any], words: str
) -> None:
    answer = sqlite_worker.call(task, **arguments)
    assert answer["state"] == "FAILURE"
    assert words in answer["value"]
    assert "Traceback" not in sqlite_worker.log


@pytest.fixture(scope="module")
def sqlite_worker(sqlite: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MaintenanceWorker]:
    database, _nothing = sqlite.filled_database(_fill, _fill)
    policy = write_policy(tmp_path_factory.mktemp("policy") / "policy.json", {"database_url": database.url})
    with MaintenanceWorker(Application(database, backend="database"), policy) as running:
        yield running
    database.drop()


def _celery(policy: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": maintenance_path(), **({"CELERY_MAINTENANCE_POLICY": str(policy)} if policy else {})}
    return subprocess.run(
        [sys.executable, "-m", "celery", *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("policy", "mode", "words"),
    [
        (None, 0o600, "set CELERY_MAINTENANCE_POLICY to its path"),
        ('{"database_url": "sqlite:////x"}', 0o640, "others may use it: chmod 600"),
        ('{"database_url": "hush-hush', 0o600, "is no JSON"),
        ('{"database_url": "sqlite:////x", "tabels": []}', 0o600, "unknown key tabels"),
        ('{"database_url": "sqlite:////x", "limits": {"max_rows": "many"}}', 0o600, "max_rows must be a whole number"),
        ('{"database_url": "postgresql://u:hush-hush@/"}', 0o600, "names no database"),
        ('{"database_url": "sqlite:////nowhere/x"}', 0o600, "does not exist where this ran"),
    ],
)
def test_a_policy_that_is_wrong_is_told(tmp_path: Path, policy: str | None, mode: int, words: str) -> None:
    path = tmp_path / "policy.json"
    if policy is not None:
        path.write_text(policy)
        path.chmod(mode)
    done = _celery(None if policy is None else path, "maintenance")
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "hush-hush" not in done.stderr


_APPLY = """
import json, logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
from celery_maintenance.tasks import run_policy
done = run_policy.apply()
print(json.dumps([done.state, str(done.result)]))
"""


def test_a_database_that_is_away_is_tried_three_more_times(tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy.json", {"database_url": "postgresql://shop:very-secret@127.0.0.1:9/shop"})
    done = subprocess.run(
        [sys.executable, "-c", _APPLY],
        env={"PYTHONPATH": maintenance_path(), "CELERY_MAINTENANCE_POLICY": str(policy)},
        capture_output=True,
        text=True,
        check=True,
    )
    state, text = json.loads(done.stdout)
    assert state == "FAILURE"
    assert "127.0.0.1:9" in text
    for attempt in (1, 2, 3):
        assert f"Retrying task in 300s (attempt {attempt}/3)" in done.stderr
    assert "attempt 4" not in done.stderr
    assert done.stderr.count("Error in celery_maintenance.run_policy: ") == 4
    assert "very-secret" not in done.stderr + done.stdout


def test_a_worker_waits_before_it_tries_again(sqlite_database: Database, tmp_path: Path) -> None:
    create_celery_tables(sqlite_database)
    policy = write_policy(tmp_path / "policy.json", {"database_url": "postgresql://shop:very-secret@127.0.0.1:9/shop"})
    with MaintenanceWorker(Application(sqlite_database, backend="database"), policy) as worker:
        answer = worker.call("run_policy", seconds=5)
        assert answer == {"state": "RETRY", "value": None}
        worker.wait_for("Retrying task in 300s (attempt 1/3)", 5)
        assert "very-secret" not in worker.log


def test_the_command_of_celery_says_what_it_does(sqlite_database: Database, tmp_path: Path) -> None:
    _fill(sqlite_database)
    policy = write_policy(tmp_path / "policy.json", {"database_url": sqlite_database.url})
    planned = _celery(policy, "maintenance", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "What would be done" in planned.stdout
    assert sqlite_database.count(TASK_RESULT) == 1043
    done = _celery(policy, "maintenance")
    assert done.returncode == 0, done.stderr
    assert "What was done" in done.stdout
    assert sqlite_database.count(TASK_RESULT) == 798
