# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a process with much to write: every record is written, or counted as lost."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from support.servers import Database
from support.tracking import driver_url, recorder_module

records = recorder_module("records")
finishing = recorder_module("finishing")
_NUMBER = 10_000
_WORKER = "worker@test"
_PAUSE = 0.4  # seconds that the database takes for a batch of 2,000


@pytest.fixture
def slow(postgresql_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database that takes its time, for whom nobody waits for more than a second."""
    database = postgresql_database
    monkeypatch.setenv("CELERY_TRACKING_DATABASE_URL", driver_url(database))
    monkeypatch.setattr(finishing, "STILL_SECONDS", 1.5)
    recorder_module("store").Store(driver_url(database)).close()
    database.execute(
        "CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS "
        f"'BEGIN PERFORM pg_sleep({_PAUSE}); RETURN NULL; END'"
    )
    database.execute(
        "CREATE TRIGGER take_time AFTER INSERT ON task_logs FOR EACH STATEMENT EXECUTE FUNCTION take_time()"
    )
    return database


def _filled() -> Any:
    buffer = recorder_module("buffer").Buffer(2 * _NUMBER, 64_000_000)
    now = time.time()
    buffer.put([records.pack((records.WORKER, now, _WORKER, records.ONLINE, 0, 0, now))])
    buffer.put(
        [
            records.pack((records.FINISHED, now, f"task-{number}", "shop.add", 0, "SUCCESS", "2", None, None, 0.1))
            for number in range(_NUMBER)
        ]
    )
    return buffer


def _finish(buffer: Any) -> float:
    writer = threading.Thread(target=recorder_module("writer").Writer(buffer, _WORKER).run, daemon=True)
    writer.start()
    began = time.monotonic()
    finishing.finish(buffer, writer)
    return time.monotonic() - began


def test_the_end_waits_as_long_as_records_move_forward(slow: Database, caplog: pytest.LogCaptureFixture) -> None:
    assert _finish(_filled()) > 5 * _PAUSE > finishing.STILL_SECONDS
    assert slow.count("task_logs") == slow.count("task_results") == _NUMBER
    assert slow.scalar("SELECT dropped_records FROM worker_status") == 0
    assert "lost" not in caplog.text


def test_what_is_not_written_within_the_bound_is_counted(
    slow: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(finishing, "MOST_SECONDS", 2.5 * _PAUSE)
    assert _finish(_filled()) < 5 * _PAUSE
    written = slow.count("task_logs")
    lost = _NUMBER - written
    assert 0 < written < _NUMBER
    assert slow.scalar("SELECT dropped_records FROM worker_status") == lost
    assert f"{lost} records of tracked tasks are lost" in caplog.text


def test_a_database_that_hangs_does_not_hold_the_end(slow: Database, caplog: pytest.LogCaptureFixture) -> None:
    engine = slow.engine()
    with engine.connect() as other, other.begin():
        other.exec_driver_sql("LOCK TABLE task_logs IN ACCESS EXCLUSIVE MODE")
        assert _finish(_filled()) < 2 * finishing.STILL_SECONDS
        assert f"{_NUMBER + 1} records of tracked tasks are lost" in caplog.text
    engine.dispose()
