# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that goes and comes back: nothing is lost within the bound, and beyond it the loss is counted."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from conftest import provide
from support.servers import Database, PostgreSQL, SQLite
from support.tracking import TrackedWorker
from support.waiting import wait_until

_COUNT = "SELECT count(*) FROM task_logs WHERE status = 'SUCCESS'"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """One of our own: to stop that of all tests would be in nobody's interest."""
    with provide(PostgreSQL) as own:
        yield own


@contextlib.contextmanager
def _away(server: PostgreSQL) -> Iterator[None]:
    server.halt()
    try:
        yield
    finally:
        server.resume()


def test_nothing_is_lost_while_the_database_is_away(server: PostgreSQL) -> None:
    database = server.new_database()
    with TrackedWorker(database.url) as worker:
        before = set(worker.send(*["add.si(1, 1)"] * 20))
        wait_until(lambda: database.scalar(_COUNT) == 20)
        with _away(server):
            # The publisher is another process, which ends amid the outage: what it had to say goes with it.
            during = set(worker.send(*["add.si(2, 2)"] * 200))
            worker.wait_for_journal(220, 60)
            # All of them are done: none has failed, and none waits for what is still to be written.
            wait_until(lambda: worker.text.count(" succeeded in ") == 220)
            assert " raised unexpected: " not in worker.text
            assert "written again" not in worker.text
        after = set(worker.send(*["add.si(3, 3)"] * 20))
        wait_until(lambda: database.scalar(_COUNT) == 240, 60)
        worker.stop()
        rows = database.execute("SELECT task_id, status FROM task_logs")
        assert {task_id for task_id, _status in rows} == before | during | after
        assert {status for _task_id, status in rows} == {"SUCCESS"}
        assert database.scalar("SELECT dropped_records FROM worker_status") == 0
        assert database.count("task_execution_history") == 240
        assert "waits for the database" in worker.text
        assert "written again" in worker.text


def test_what_does_not_fit_is_dropped_and_counted(server: PostgreSQL) -> None:
    database = server.new_database()
    with TrackedWorker(database.url, settings={"_BUFFER_RECORDS": "100", "_QUEUE_INTERVAL": "0"}) as worker:
        worker.send("add.si(1, 1)")
        wait_until(lambda: database.scalar(_COUNT) == 1)
        with _away(server):
            worker.send(*["add.si(2, 2)"] * 200, CELERY_TRACKING="off")
            worker.wait_for_journal(201, 60)
            time.sleep(1)
        wait_until(lambda: database.scalar("SELECT dropped_records FROM worker_status") > 0, 60)
        worker.stop()
        # 400 records, and the heartbeats between them; the latest are there, and with them the ends of those tasks.
        dropped = database.scalar("SELECT dropped_records FROM worker_status")
        assert 290 <= dropped <= 310
        recorded = database.scalar(_COUNT) - 1
        assert 40 <= recorded <= 60  # of two processes, whose records mix
        assert f"{dropped} records of tracked tasks were dropped" in worker.text


def test_a_worker_that_starts_during_the_outage_counts_too(server: PostgreSQL) -> None:
    database = server.new_database()
    with contextlib.ExitStack() as outage:
        outage.enter_context(_away(server))
        with TrackedWorker(database.url, settings={"_BUFFER_RECORDS": "100", "_QUEUE_INTERVAL": "0"}) as worker:
            worker.send(*["order.si('tea')"] * 60, CELERY_TRACKING="off")
            worker.wait_for_journal(240, 60)
            worker.wait_for_log("waits for the database")
            outage.close()
            wait_until(lambda: _has(database, "worker_status") and database.count("worker_status") == 1, 60)
            wait_until(lambda: database.scalar("SELECT dropped_records FROM worker_status") > 0, 60)
            worker.stop()
            # Of 660 records, as a retry is sent anew, and the signs of life; a batch may have been on its way.
            dropped, failed = database.execute("SELECT dropped_records, failed_tasks FROM worker_status")[0]
            assert 460 <= dropped <= 580
            # Those that are still known.
            assert failed == database.scalar("SELECT count(*) FROM task_logs WHERE status = 'FAILURE'") > 0


def _has(database: Database, table: str) -> bool:
    with database.begin() as connection:
        return bool(sa.inspect(connection).has_table(table))


def test_a_database_that_never_comes_keeps_no_worker_from_ending(server: PostgreSQL) -> None:
    database = server.new_database()
    with TrackedWorker(database.url) as worker, _away(server):
        worker.send("add.si(1, 1)")
        worker.wait_for_journal(1)
        worker.stop()
        wait_until(lambda: "did not take them in time" in worker.text)


def test_another_who_holds_the_file_is_waited_for(sqlite: SQLite, sqlite_database: Database) -> None:
    with TrackedWorker(sqlite_database.url) as worker:
        worker.send("add.si(1, 1)")
        wait_until(lambda: sqlite_database.scalar(_COUNT) == 1)
        with contextlib.closing(sqlite3.connect(sqlite.path(sqlite_database), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            worker.send(*["add.si(2, 2)"] * 50, CELERY_TRACKING="off")
            worker.wait_for_journal(51)
            time.sleep(7)
            other.execute("ROLLBACK")
        wait_until(lambda: sqlite_database.scalar(_COUNT) == 51, 60)
