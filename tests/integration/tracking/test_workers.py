# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The coming and going of workers, of which some go without a word."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from support.servers import Database
from support.tracking import driver_url, recorder_module
from support.waiting import wait_until

records = recorder_module("records")
statistics = recorder_module("statistics")
Tell = Callable[..., None]
_WORKER = "worker@test"


@pytest.fixture
def tell(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tell]:
    """`tell(ago, status, processed, born)`: what a worker said so many seconds ago, about a life that began then."""
    monkeypatch.setenv("CELERY_TRACKING_DATABASE_URL", driver_url(database))
    store = recorder_module("store").Store(driver_url(database))
    now = time.time()

    def tell(ago: float, status: str, processed: int | None = 0, born: float | None = None) -> None:
        changes = recorder_module("changes").Changes(_WORKER)
        changes.add((records.WORKER, now - ago, _WORKER, status, 0, processed, None if born is None else now - born))
        store.write(changes)

    tell.count = partial(store.count, _WORKER)  # type: ignore[attr-defined]
    yield tell
    store.close()


def _numbers(database: Database) -> tuple[Any, ...]:
    (row,) = database.execute("SELECT status, processed_tasks, failed_tasks, dropped_records FROM worker_status")
    return row


def test_one_that_is_silent_does_not_count(database: Database, tell: Tell) -> None:
    tell(16 * 60, "ONLINE", born=3600)
    assert statistics.get_online_workers() == []
    assert statistics.get_realtime_status()["online_workers"] == 0
    tell(14 * 60, "ONLINE", born=3600)
    (online,) = statistics.get_online_workers()
    assert online["worker_name"] == _WORKER
    tell(0, "OFFLINE", born=3600)
    assert statistics.get_online_workers() == []


def test_a_new_life_begins_anew_even_where_the_one_before_has_not_ended(database: Database, tell: Tell) -> None:
    tell(100, "ONLINE", 7, born=200)
    assert tell.count(None, 3, 2)  # type: ignore[attr-defined]
    tell(50, "ONLINE", 9, born=200)
    assert _numbers(database) == ("ONLINE", 9, 3, 2)
    tell(10, "ONLINE", 1, born=20)
    assert _numbers(database) == ("ONLINE", 1, 0, 0)


def test_one_life_goes_on_after_somebody_took_it_for_over(database: Database, tell: Tell) -> None:
    tell(100, "ONLINE", 7, born=200)
    assert tell.count(None, 3, 2)  # type: ignore[attr-defined]
    tell(50, "OFFLINE", None)
    assert _numbers(database) == ("OFFLINE", 7, 3, 2)
    tell(10, "ONLINE", 8, born=200)
    assert _numbers(database) == ("ONLINE", 8, 3, 2)


@pytest.mark.parametrize("lived_before", [False, True])
def test_what_is_lost_before_its_first_sign_of_life_is_counted(
    database: Database, tell: Tell, caplog: pytest.LogCaptureFixture, lived_before: bool
) -> None:
    """As of a worker that starts while the database is away: the oldest records go first, and with them that sign."""
    if lived_before:
        tell(7200, "ONLINE", 7, born=7300)
        assert tell.count(None, 30, 20)  # type: ignore[attr-defined]
    born = time.time()
    buffer = recorder_module("buffer").Buffer(10, 1_000_000)
    buffer.put([records.pack((records.WORKER, born, _WORKER, records.ONLINE, 0, 0, born))])
    buffer.put(
        records.pack((records.FINISHED, born, f"t{i}", "shop.add", 0, "FAILURE", *[None] * 4)) for i in range(13)
    )
    writer = threading.Thread(target=recorder_module("writer").Writer(buffer, _WORKER, born).run, daemon=True)
    writer.start()
    wait_until(lambda: database.count("task_logs") == 10 and buffer.unwritten == 0)
    buffer.put([records.pack((records.WORKER, born + 10, _WORKER, records.ONLINE, 0, 13, born))])
    buffer.close()
    writer.join(30)
    assert _numbers(database) == ("ONLINE", 13, 10, 4)
    assert "4 records of tracked tasks" in caplog.text
