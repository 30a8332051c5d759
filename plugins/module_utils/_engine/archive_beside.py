# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleting rows in one session of PostgreSQL while others read them for the archive.

A server process that returns what it deletes takes three times as long as one that only deletes. Several processes
share that work, and what keeps them together is one snapshot
(https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION): in REPEATABLE READ, a
DELETE takes the rows of its snapshot, or fails where somebody has changed one of them since. It deletes no row that the
other session does not read, so where both have the same number of rows, they have the same rows.

Two sessions read, each in a thread of its own: one is a batch ahead where the next batch is known.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from .archive_reading import Reading, ReadingSession
from .database import Database


class Readers:
    """The two sessions that read: what a transaction deletes, and what the next will."""

    def __init__(self, database: Database, compression: str) -> None:
        self._free = deque(ReadingSession(database, compression) for _number in range(2))
        self._foreseen: deque[Reading] = deque()
        self._current: Reading | None = None

    def foresee(self, table: Any, condition: Any) -> None:
        """Begin to read what the next transaction, or the one after it, will delete first."""
        if self._free:
            reading = self._free.popleft().begin()
            reading.read(table, condition)
            self._foreseen.append(reading)

    def begin(self) -> Reading:
        """Return the reading for a transaction that has just begun."""
        self._current = self._foreseen.popleft() if self._foreseen else self._free.popleft().begin()
        return self._current

    def end(self) -> None:
        """End the reading of the transaction that has ended."""
        if self._current:
            self._free.append(self._current.end())
        self._current = None

    def forget(self) -> None:
        """Let what was foreseen fall."""
        while self._foreseen:
            self._free.append(self._foreseen.popleft().end())

    def close(self) -> None:
        self.end()
        self.forget()
        for session in self._free:
            session.close()
