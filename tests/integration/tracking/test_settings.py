# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tasks are tracked, and that the application goes on as before whatever the settings say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.servers import Database
from support.tracking import TrackedWorker, driver_url
from support.tracking.package import SITECUSTOMIZE
from support.waiting import wait_until

ALL = ("hidden.si()", "pay.si()", "bulk.si()", "add.si(1, 2)")


def _names(database: Database) -> set[str]:
    return {row[0] for row in database.execute("SELECT DISTINCT task_name FROM task_logs")}


def _run(worker: TrackedWorker) -> None:
    worker.send(*ALL)
    worker.wait_for_journal(len(ALL))
    worker.stop()


def test_a_task_can_opt_out_or_leave_its_start_out(sqlite_database: Database) -> None:
    with TrackedWorker(sqlite_database.url) as worker:
        _run(worker)
    assert _names(sqlite_database) == {"shop.pay", "shop.bulk", "shop.add"}
    rows = sqlite_database.execute(
        "SELECT t.task_name, t.args, m.id FROM task_logs t LEFT JOIN task_metadata m ON m.task_id = t.id"
        " WHERE t.task_name IN ('shop.bulk', 'shop.pay') ORDER BY t.task_name"
    )
    (_bulk, no_args, no_metadata), (_pay, args, metadata) = rows
    assert (no_args, no_metadata) == (None, None)
    assert args == "()"
    assert metadata is not None


def test_only_critical_tasks(sqlite_database: Database) -> None:
    with TrackedWorker(sqlite_database.url, settings={"": "critical", "_TASKS": "shop.a*, other"}) as worker:
        _run(worker)
    assert _names(sqlite_database) == {"shop.pay", "shop.add"}


def test_arguments_and_results_can_be_left_out(sqlite_database: Database) -> None:
    with TrackedWorker(sqlite_database.url, settings={"_ARGUMENTS": "off"}) as worker:
        _run(worker)
    assert sqlite_database.execute("SELECT DISTINCT args, kwargs FROM task_logs") == [(None, None)]
    assert sqlite_database.execute("SELECT DISTINCT result FROM task_results") == [(None,)]


@pytest.mark.parametrize(("arguments", "recorded"), [("on", {"123", "anna", None}), ("off", {None})])
def test_for_whom_a_task_works_is_recorded(
    sqlite_database: Database, arguments: str, recorded: set[str | None]
) -> None:
    # By the publisher and by the worker.
    for published in ("all", "off"):
        with TrackedWorker(sqlite_database.url, settings={"_ARGUMENTS": arguments}) as worker:
            calls = ("greet.si(user_id=123)", "greet.si(user_id='anna')", "greet.si(user_id=['x'])", "add.si(1, 2)")
            worker.send(*calls, CELERY_TRACKING=published)
            worker.wait_for_journal(4)
            worker.stop()
        assert {row[0] for row in sqlite_database.execute("SELECT user_id FROM task_metadata")} == recorded
        sqlite_database.execute("DELETE FROM task_metadata")


@pytest.fixture
def without_tables(sqlite_database: Database) -> Iterator[Database]:
    yield sqlite_database
    with sqlite_database.begin() as connection:
        assert sa.inspect(connection).get_table_names() == []


def test_switched_off_nothing_of_it_is_loaded(without_tables: Database) -> None:
    with TrackedWorker(without_tables.url, settings={"": "off"}) as worker:
        _run(worker)
        program = "import sys; print([name for name in sys.modules if 'tracking' in name and 'support' not in name])"
        assert worker.python(program) == "[]"
        assert "celery_tracking" not in worker.text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"": "sometimes"}, "CELERY_TRACKING is 'sometimes'; use all, critical or off"),
        ({"_QUEUE_INTERVAL": "soon"}, "CELERY_TRACKING_QUEUE_INTERVAL is 'soon'; use a number from 0"),
        ({"_BUFFER_RECORDS": "0"}, "CELERY_TRACKING_BUFFER_RECORDS is '0'; use a number from 1"),
        ({"_DATABASE_URL": ""}, "neither CELERY_TRACKING_DATABASE_URL nor CELERY_TRACKING_DATABASE_FILE is set"),
        ({"_DATABASE_URL": "", "_DATABASE_FILE": "/nowhere"}, "CELERY_TRACKING_DATABASE_FILE cannot be read"),
    ],
)
def test_a_setting_that_is_wrong_is_said_and_tasks_run(
    without_tables: Database, settings: dict[str, str], said: str
) -> None:
    with TrackedWorker(without_tables.url, settings=settings) as worker:
        _run(worker)
        assert said in worker.text
        assert "Traceback" not in worker.text


def test_a_url_that_does_not_parse_is_said_without_its_password(without_tables: Database) -> None:
    with TrackedWorker(without_tables.url, settings={"_DATABASE_URL": "oracle://app:secret@db/shop"}) as worker:
        _run(worker)
        wait_until(lambda: "waits for the database" in worker.text)
        assert "oracle://, which is not supported" in worker.text
        assert "secret" not in worker.text


def test_the_url_can_be_in_a_file(sqlite_database: Database, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.touch(mode=0o600)
    file.write_text(f"{driver_url(sqlite_database)}\n")
    with TrackedWorker(sqlite_database.url, settings={"_DATABASE_URL": "", "_DATABASE_FILE": str(file)}) as worker:
        _run(worker)
    assert "shop.add" in _names(sqlite_database)


def test_a_sitecustomize_of_the_image_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('mine')")
    for setting in ("all", "off"):
        done = subprocess.run(
            [sys.executable, "-c", "import sys; print('celery' in sys.modules)"],
            env={"PYTHONPATH": f"{SITECUSTOMIZE}:{tmp_path}", "CELERY_TRACKING": setting},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["mine", "False"]


@pytest.mark.parametrize("version", ["5.4.0", "5.5.3", "5.6.0"])
def test_older_versions_of_celery(sqlite_database: Database, version: str) -> None:
    with TrackedWorker(sqlite_database.url, celery_version=version) as worker:
        (failing, fine) = worker.send("order.si('tea')", "count.si(1)")
        wait_until(lambda: sqlite_database.execute("SELECT progress FROM task_logs WHERE progress IS NOT NULL") != [])
        worker.touch("step-1")
        count = "SELECT count(*) FROM task_logs WHERE status IN ('SUCCESS', 'FAILURE')"
        wait_until(lambda: sqlite_database.scalar(count) == 2, 60)
        worker.stop()
    rows = dict(sqlite_database.execute("SELECT task_id, status FROM task_logs"))
    assert rows == {failing: "FAILURE", fine: "SUCCESS"}
    assert sqlite_database.count("task_execution_history") == 5
    assert sqlite_database.execute("SELECT status FROM worker_status") == [("OFFLINE",)]


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_other_pools(sqlite_database: Database, pool: str) -> None:
    with TrackedWorker(sqlite_database.url, f"--pool={pool}", "--without-heartbeat") as worker:
        worker.send(*["add.si(1, 2)"] * 30, "order.si('tea')")
        worker.wait_for_journal(34)
        worker.stop()
    rows = sqlite_database.execute("SELECT status, count(*) FROM task_logs GROUP BY status ORDER BY status")
    assert rows == [("FAILURE", 1), ("SUCCESS", 30)]
