# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that writes records all the while, each with a child, which are too young to be purged."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

import sqlalchemy as sa

from .servers import Database

_PREFIX = "young-"
_PAUSE = 0.005
_AGAIN = 0.02  #: seconds until it tries again what failed
_PATIENCE = 60.0
_BEGINNING = (
    "INSERT INTO task_logs (task_id, task_name, status, created_at) VALUES (:task, 'crawl', 'STARTED', :now)",
    "INSERT INTO task_execution_history (task_id, attempt_number, status)"
    " SELECT id, 1, 'STARTED' FROM task_logs WHERE task_id = :task",
)
_END = ("UPDATE task_logs SET status = 'SUCCESS', completed_at = :now WHERE task_id = :task",)


@contextmanager
def writing_young_records(database: Database) -> Iterator[None]:
    """Let another process write from before the block until its end; then all that it wrote has to be there."""
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    here, there = context.Pipe(duplex=False)
    # No thread: neither SQLite nor a lock that one holds would survive that the block forks.
    process = context.Process(target=_write, args=(database, stop, there))
    process.start()
    there.close()
    try:
        here.recv()
        yield
    finally:
        stop.set()
        process.join(_PATIENCE)
        process.kill()
    assert process.exitcode == 0
    expected = [(f"{_PREFIX}{number}", "SUCCESS", 1) for number in range(1, here.recv() + 1)]
    found = database.execute(
        "SELECT l.task_id, l.status, count(*) FROM task_logs AS l JOIN task_execution_history AS h ON h.task_id = l.id"
        f" WHERE l.task_id LIKE '{_PREFIX}%' GROUP BY l.task_id, l.status"
    )
    assert sorted(found) == sorted(expected)


def count_old_records(database: Database) -> int:
    return int(database.scalar(f"SELECT count(*) FROM task_logs WHERE task_id NOT LIKE '{_PREFIX}%'"))


def _write(database: Database, stop: Event, there: Connection) -> None:
    engine = database.engine(poolclass=sa.pool.QueuePool)
    number = 0
    while not stop.is_set():
        number += 1
        for statements in (_BEGINNING, _END):
            while not _commit(engine, statements, f"{_PREFIX}{number}"):
                time.sleep(_AGAIN)
        if number == 1:
            there.send(number)
        time.sleep(_PAUSE)
    there.send(number)
    engine.dispose()


def _commit(engine: sa.engine.Engine, statements: tuple[str, ...], task: str) -> bool:
    """Whether it is done now: where a connection is lost in a commit, the next attempt may find it done already."""
    with suppress(sa.exc.OperationalError, sa.exc.InternalError, sa.exc.InterfaceError):
        try:
            with engine.begin() as connection:
                for statement in statements:
                    connection.execute(
                        sa.text(statement), {"task": task, "now": datetime.now(timezone.utc).replace(tzinfo=None)}
                    )
        except sa.exc.IntegrityError:
            pass  # there is one such task
        return True
    return False
