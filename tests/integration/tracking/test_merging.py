# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of one task in every order, by two writers: the later state wins, and an end stays an end."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

import pytest
from support.servers import Database
from support.tracking import driver_url, recorder_module

records = recorder_module("records")
Record = tuple[Any, ...]
Write = Callable[..., None]

_AT = 1_700_000_000.0
_DESCRIBED = ("(1,)", "{}", "celery", None, 0, None, None, "t", None, "gen@host", "123")


def published(at: float, retries: int = 0, task_id: str = "t") -> Record:
    return (records.PUBLISHED, _AT + at, task_id, "shop.add", retries, *_DESCRIBED)


def started(at: float, retries: int = 0, task_id: str = "t") -> Record:
    return (records.STARTED, _AT + at, task_id, "shop.add", retries, *_DESCRIBED)


def finished(at: float, status: str, retries: int | None = 0, task_id: str = "t") -> Record:
    error = None if status == "SUCCESS" else "ValueError: no"
    return (records.FINISHED, _AT + at, task_id, "shop.add", retries, status, "2", error, None, None)


@pytest.fixture
def write(database: Database) -> Iterator[Write]:
    """`write(record, ...)`: each call is a batch of its own."""
    store = recorder_module("store").Store(driver_url(database))

    def write(*batch: Record) -> None:
        changes = recorder_module("changes").Changes("worker@test")
        for record in batch:
            changes.add(record)
        store.write(changes)

    yield write
    store.close()


def _task(database: Database, task_id: str = "t") -> tuple[Any, ...]:
    (row,) = database.execute(f"SELECT status, retries, error_message FROM task_logs WHERE task_id = '{task_id}'")
    return row


def test_every_order_and_every_grouping_comes_to_the_same(database: Database, write: Write) -> None:
    """A task that was published, failed once, was published again and succeeded."""
    life = [
        published(0), started(1), published(2, 1), finished(3, "RETRY"), started(4, 1), finished(5, "SUCCESS", 1),
    ]  # fmt: skip
    orders = random.Random(5).sample(list(itertools.permutations(range(len(life)))), 40)
    for number, order in enumerate(orders):
        task_id = f"t{number}"
        ordered = [(*life[place][:2], task_id, *life[place][3:]) for place in order]
        cut = number % (len(life) + 1)
        for batch in (ordered[:cut], ordered[cut:]):
            if batch:
                write(*batch)
    rows = database.execute(
        "SELECT DISTINCT status, retries, error_message, created_at, started_at, completed_at, args FROM task_logs"
    )
    assert len(rows) == 1, rows
    assert rows[0][:3] == ("SUCCESS", 1, None)
    times = [str(time)[:19] for time in rows[0][3:6]]
    assert times == ["2023-11-14 22:13:20", "2023-11-14 22:13:24", "2023-11-14 22:13:25"]
    attempts = database.execute(
        "SELECT attempt_number, status, count(*) FROM task_execution_history GROUP BY attempt_number, status"
        " ORDER BY attempt_number"
    )
    assert attempts == [(1, "RETRY", len(orders)), (2, "SUCCESS", len(orders))]
    assert database.count("task_metadata") == len(orders)
    assert database.count("task_results") == len(orders)
    assert len(database.execute("SELECT DISTINCT created_at FROM task_metadata")) == 1


@pytest.mark.parametrize(
    ("first", "then", "status"),
    [
        (finished(2, "FAILURE"), started(1), "FAILURE"),
        (finished(2, "REVOKED"), published(0), "REVOKED"),
        (finished(2, "SUCCESS"), finished(3, "REVOKED"), "SUCCESS"),
        (finished(2, "FAILURE"), started(3, 1), "STARTED"),
        (started(1, 1), finished(2, "FAILURE", None), "FAILURE"),
        (finished(2, "RETRY"), published(1, 1), "RETRY"),
        (finished(2, "FAILURE"), finished(3, "REVOKED"), "REVOKED"),
        (finished(2, "REJECTED"), started(3), "STARTED"),
    ],
)
def test_an_end_stays_unless_there_is_another_attempt(
    database: Database, write: Write, first: Record, then: Record, status: str
) -> None:
    write(first)
    write(then)
    assert _task(database)[0] == status
    write((*first[:2], "both", *first[3:]), (*then[:2], "both", *then[3:]))
    assert _task(database, "both")[0] == status


def test_a_batch_that_comes_twice_changes_nothing(database: Database, write: Write) -> None:
    """As after a commit of which the answer was lost."""
    batch = [published(0), started(1), finished(2, "FAILURE")]
    tables = ("task_logs", "task_metadata", "task_execution_history", "task_results")

    def contents() -> list[Any]:
        return [database.execute(f"SELECT * FROM {table} ORDER BY 1") for table in tables]

    write(*batch)
    before = contents()
    write(*batch)
    assert contents() == before


def test_two_writers_of_the_same_tasks_do_not_block_each_other(database: Database, write: Write) -> None:
    changes = recorder_module("changes").Changes

    def work(make: Callable[..., Record], seed: int) -> None:
        order = list(range(300))
        random.Random(seed).shuffle(order)
        own = recorder_module("store").Store(driver_url(database))
        for begin in range(0, 300, 50):
            batch = changes("worker@test")
            for number in order[begin : begin + 50]:
                batch.add(make(number / 1000, 0, f"t{number}"))
            for _attempt in range(20):
                try:
                    own.write(batch)
                    break
                except Exception:
                    # As the writer does: the next attempt has it.
                    continue
        own.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (published, started), (1, 2)))
    assert database.execute("SELECT status, count(*) FROM task_logs GROUP BY status") == [("STARTED", 300)]
    assert database.count("task_metadata") == 300


_BEFORE_ALL_TIME = "0001-01-01T00:00:00+23:00"


@pytest.mark.parametrize(
    "bad",
    [
        # The column takes no NULL.
        (records.STARTED, _AT, "bad", None, 0, *_DESCRIBED),
        # As a publisher in another language may send it.
        (records.STARTED, _AT, "bad", "shop.add", None, *_DESCRIBED),
        (records.STARTED, _AT, "bad", "shop.add", 0, *_DESCRIBED[:5], _BEFORE_ALL_TIME, *_DESCRIBED[6:]),
    ],
    ids=["no name", "no attempt", "no time"],
)
def test_a_record_that_cannot_be_written_keeps_none_of_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, bad: Record
) -> None:
    monkeypatch.setenv("CELERY_TRACKING_DATABASE_URL", driver_url(database))
    buffer = recorder_module("buffer").Buffer(1_000, 1_000_000)
    buffer.put([records.pack(one) for one in (started(1, 0, "one"), bad, started(2, 0, "two"))])
    buffer.close()
    writer = threading.Thread(target=recorder_module("writer").Writer(buffer, None).run, daemon=True)
    writer.start()
    writer.join(30)
    buffer.give_up()  # or it would go on for ever
    written = {row[0] for row in database.execute("SELECT task_id FROM task_logs")}
    assert {"one", "two"} <= written
    # Where a database knows that time, that is as good.
    assert "bad" in written or "A record of a tracked task is left out" in caplog.text


def test_tasks_may_have_numbers_for_ids(database: Database, write: Write) -> None:
    life = [published(0), started(1), finished(2, "SUCCESS")]
    write(*((*one[:2], 7, *one[3:]) for one in life), started(3, 0, "seven"))
    assert _task(database, "7")[0] == "SUCCESS"
    assert database.count("task_results") == 1


def test_what_never_expires_is_recorded(database: Database, write: Write) -> None:
    never = datetime.max.replace(tzinfo=timezone.utc).isoformat()
    write((*started(0)[:11], never, *_DESCRIBED[7:]))
    assert str(database.execute("SELECT expires_at FROM task_metadata")[0][0])[:19] == "9999-12-31 23:59:59"
