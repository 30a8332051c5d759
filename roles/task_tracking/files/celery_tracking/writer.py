# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes records from the buffer and writes them, batch by batch, whatever the database does meanwhile."""

from __future__ import annotations

import logging
import time

import sqlalchemy as sa

from .buffer import Buffer
from .changes import Changes
from .finishing import LOST
from .records import Record, unpack
from .settings import SettingsError, database_url
from .store import Store

_log = logging.getLogger("celery_tracking")

_MOST = 2_000  # records in a batch; more are not written faster, and less often is it seen that they are
_DROPPED = "%d records of tracked tasks were dropped, for there was no room or the database refused them."
_GATHER = 0.5  # seconds: what comes together in one batch costs less
_LONGEST_PAUSE = 5.0
_PAUSE = 0.5
#: What is wrong with a record, and would be again; all else says that the database is away.
_REFUSALS = (sa.exc.DataError, sa.exc.IntegrityError, ArithmeticError, LookupError, TypeError, ValueError)


class Writer:
    """
    :param worker: whose records these are; None for a publisher's
    :param born: when this life of it began, where that is known
    """

    def __init__(self, buffer: Buffer, worker: str | None, born: float | None = None) -> None:
        self._buffer = buffer
        self._worker = worker
        self._born = born
        self._store: Store | None = None
        self._pause = 0.0
        self._dropped = 0
        self._failures = 0
        #: Tasks that failed in the batch before: of some, Celery tells it twice.
        self._failed: set[str] = set()

    def run(self) -> None:
        """Write until the buffer is closed and empty, or given up."""
        while not self._is_over():
            self._buffer.wait_until_filled()
            self._buffer.wait_until_closed(self._pause or (_GATHER if len(self._buffer) < _MOST else 0.0))
            if self._pause and self._buffer.closed:
                time.sleep(min(self._pause, 0.2))
            batch = self._buffer.take(_MOST)
            if self._try(batch):
                self._buffer.written()
            else:
                self._buffer.put_back(batch)
            if self._store is not None and self._count():
                self._tell_dropped(_DROPPED)
        self._buffer.drop_rest()
        self._count()
        self._tell_dropped(LOST)
        if self._store is not None:
            self._store.close()

    def _is_over(self) -> bool:
        return self._buffer.given_up or (self._buffer.closed and not len(self._buffer))

    def _try(self, batch: list[bytes]) -> bool:
        """Whether the batch is done with."""
        try:
            if self._store is None:
                self._store = Store(database_url())
            self._write(self._store, [unpack(data) for data in batch])
        except Exception as error:
            self._fail(error)
            return False
        if self._pause:
            _log.info("What is tracked is written again.")
        self._pause = 0.0
        return True

    def _fail(self, error: Exception) -> None:
        if self._store is not None:
            # Whatever it is, the next attempt opens the database anew, and looks whether its tables are there.
            self._store.close()
            self._store = None
        if not self._pause:
            _log.warning("What is tracked waits for the database: %s", explain(error))
        self._pause = min(self._pause * 2 or _PAUSE, _LONGEST_PAUSE)

    def _write(self, store: Store, records: list[Record]) -> None:
        changes = Changes(self._worker)
        try:
            for record in records:
                changes.add(record)
            store.write(changes)
        except _REFUSALS as error:
            # One of them is what the database refuses; the others are written without it.
            if len(records) == 1:
                self._dropped += 1
                _log.warning("A record of a tracked task is left out: %s", explain(error))
                return
            middle = len(records) // 2
            self._write(store, records[:middle])
            self._write(store, records[middle:])
            return
        self._failures += len(changes.failures - self._failed)
        self._failed = changes.failures

    def _count(self) -> bool:
        """Add to the worker's numbers; False where the next batch is to do it, as its row may be yet to come."""
        self._dropped += self._buffer.take_dropped()
        if self._worker and self._store is not None and (self._failures or self._dropped):
            try:
                if not self._store.count(self._worker, self._born, self._failures, self._dropped):
                    return False
            except sa.exc.SQLAlchemyError:
                return False
        self._failures = 0
        return True

    def _tell_dropped(self, words: str) -> None:
        if self._dropped:
            _log.warning(words, self._dropped)
        self._dropped = 0


def explain(error: Exception) -> str:
    """The error's first line, without the statement and its values, which are the application's data."""
    if isinstance(error, SettingsError):
        return str(error)
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return f"{type(cause).__name__}: {lines[0] if lines else ''}"
