# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where records wait for the database: a bounded queue that drops its oldest."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

_OVERHEAD = 60  # bytes that Python needs beside the contents


class Buffer:
    """Takes records from any thread, and never makes one wait.

    The oldest are dropped when it is full: a task's start can be lost, as long as its outcome is known.
    """

    def __init__(self, most_records: int, most_bytes: int) -> None:
        self._most_records, self._most_bytes = most_records, most_bytes
        self._records: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._taken = 0
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._closed = threading.Event()
        self._given_up = threading.Event()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def unwritten(self) -> int:
        """How many records wait or are being written."""
        return len(self._records) + self._taken

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    @property
    def given_up(self) -> bool:
        return self._given_up.is_set()

    def put(self, records: Iterable[bytes]) -> None:
        with self._lock:
            for record in records:
                self._records.append(record)
                self._bytes += len(record) + _OVERHEAD
            self._shrink()
        self._filled.set()

    def put_back(self, records: list[bytes]) -> None:
        """Put records that could not be written where they were: in front."""
        with self._lock:
            self._taken = 0
            self._records.extendleft(reversed(records))
            self._bytes += sum(map(len, records)) + _OVERHEAD * len(records)
            self._shrink()
        self._filled.set()

    def take(self, most: int) -> list[bytes]:
        """Return the oldest, of which :meth:`written` or :meth:`put_back` is to be told."""
        with self._lock:
            taken = [self._records.popleft() for _number in range(min(most, len(self._records)))]
            self._bytes -= sum(map(len, taken)) + _OVERHEAD * len(taken)
            self._taken = len(taken)
            if not self._records:
                self._filled.clear()
        return taken

    def written(self) -> None:
        """What was taken is done with."""
        with self._lock:
            self._taken = 0

    def drop(self, number: int) -> None:
        """Count records that were dropped before they got here."""
        with self._lock:
            self._dropped += number
        self._filled.set()

    def drop_rest(self) -> None:
        """Drop and count what is left."""
        with self._lock:
            self._dropped += len(self._records)
            self._records.clear()
            self._bytes = 0

    def take_dropped(self) -> int:
        """Return how many were dropped since this was last asked."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def close(self) -> None:
        """Nothing is put any more."""
        self._closed.set()
        self._filled.set()

    def give_up(self) -> None:
        """Nothing more is written: what is left is dropped."""
        self._given_up.set()

    def wait_until_filled(self) -> None:
        self._filled.wait()

    def wait_until_closed(self, seconds: float) -> bool:
        return self._closed.wait(seconds)

    def _shrink(self) -> None:
        while self._records and (len(self._records) > self._most_records or self._bytes > self._most_bytes):
            self._bytes -= len(self._records.popleft()) + _OVERHEAD
            self._dropped += 1
