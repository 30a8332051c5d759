# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions that read what was recorded."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from support.servers import Database
from support.tracking import TrackedWorker, driver_url, recorder_module
from support.waiting import wait_until


@pytest.fixture
def worker(database: Database) -> Iterator[TrackedWorker]:
    """Amid its work: one task runs, two have ended."""
    with TrackedWorker(database.url) as worker:
        worker.send("add.si(1, 2)", "order.si('tea')", "hold.si('never')")
        done = "SELECT count(*) FROM task_logs WHERE status IN ('SUCCESS', 'FAILURE')"
        running = "SELECT count(*) FROM task_logs WHERE status = 'STARTED'"
        wait_until(lambda: "task_logs" in _tables(database) and database.scalar(done) == 2, 60)
        wait_until(lambda: database.scalar(running) == 1)
        yield worker


def _tables(database: Database) -> list[str]:
    with database.begin() as connection:
        return sa.inspect(connection).get_table_names()


def _call(worker: TrackedWorker, function: str) -> Any:
    program = f"import json, celery_tracking as tracking\nprint(json.dumps(tracking.{function}, default=str))"
    return json.loads(worker.python(program).splitlines()[-1])


def test_they_tell_what_goes_on(worker: TrackedWorker) -> None:
    assert _call(worker, "get_task_statistics()") == {"SUCCESS": 1, "FAILURE": 1, "STARTED": 1}
    (running,) = _call(worker, "get_running_tasks()")
    assert (running["task_name"], running["worker_name"]) == ("shop.hold", "worker@test")
    (online,) = _call(worker, "get_online_workers()")
    assert online["worker_name"] == "worker@test"
    (known,) = _call(worker, "get_worker_status()")
    assert (known["worker_name"], known["status"]) == ("worker@test", "ONLINE")
    assert _call(worker, "get_realtime_status()") == {
        "running_tasks": 1,
        "online_workers": 1,
        "tasks": [{"id": running["task_id"], "name": "shop.hold"}],
    }


def test_they_take_the_caller_s_session(worker: TrackedWorker, database: Database) -> None:
    program = (
        "import sqlalchemy as sa, celery_tracking as tracking\nfrom sqlalchemy.orm import Session\n"
        f"with Session(sa.create_engine({driver_url(database)!r})) as session:\n"
        "    print(tracking.get_task_statistics(session)['SUCCESS'], tracking.cleanup_old_records(session, days=30))"
    )
    assert worker.python(program, CELERY_TRACKING_DATABASE_URL="sqlite:///elsewhere.db") == "1 0"


def test_old_records_go_with_all_that_belongs_to_them(worker: TrackedWorker, database: Database) -> None:
    database.execute(
        "UPDATE task_logs SET created_at = '2020-01-01 00:00:00', started_at = '2020-01-01 00:00:00',"
        " completed_at = '2020-01-01 00:00:00' WHERE status = 'FAILURE'"
    )
    assert _call(worker, "cleanup_old_records(days=30)") == 1
    assert _call(worker, "cleanup_old_records(days=30)") == 0
    assert database.count("task_logs") == 2
    assert database.count("task_execution_history") == 2


def test_another_run_at_the_table_is_left_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url = driver_url(database)
    monkeypatch.setenv("CELERY_TRACKING_DATABASE_URL", url)
    recorder_module("store").Store(url).close()
    database.execute(
        "INSERT INTO task_logs (task_id, task_name, status, created_at, completed_at)"
        " VALUES ('old', 'shop.add', 'SUCCESS', '2020-01-01 00:00:00', '2020-01-01 00:00:00')"
    )
    clean = recorder_module("statistics").cleanup_old_records
    engine = {name: importlib.import_module(f"celery_maintenance.engine.{name}") for name in ("database", "table_lock")}
    with engine["database"].Database(url) as other, engine["table_lock"].table_lock(other, "task_logs"):
        with caplog.at_level("INFO"):
            assert clean() == 0
        assert "another run is cleaning task_logs" in caplog.text
        assert database.count("task_logs") == 1
    assert clean() == 1
