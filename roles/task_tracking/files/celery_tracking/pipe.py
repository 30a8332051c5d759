# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way from a worker's processes to its writer: a pipe, opened before they are forked.

What has been written to a pipe stays readable when its writer is killed, and writing to it costs a few microseconds.
Nobody ever waits for room: what finds none waits in the process, within a bound, and is dropped beyond it.

A record goes in frames that the kernel never interleaves: its number, the length of this part, whether it is the last.
"""

from __future__ import annotations

import itertools
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from struct import Struct

from .patience import wait_while_it_moves
from .records import LOST, pack

_log = logging.getLogger("celery_tracking")

_HEADER = Struct("<QHB")
_SET_SIZE = 1031  # F_SETPIPE_SZ of Linux
_SIZE = 1 << 20  # what Linux allows to everybody
# What fits is written whole or not at all; a part must not be longer than its length can say.
_PART = min(getattr(select, "PIPE_BUF", 512), 1 << 16) - _HEADER.size
_MOST_WAITING = 4 << 20  # bytes
# The reader comes by every few hundredths of a second, wherever it gets a share of the machine at all.
_STILL_SECONDS = 2.0
_MOST_SECONDS = 60.0


class PipeWriter:
    """The end that every process of the worker has."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._numbers = itertools.count()
        os.set_blocking(file, False)
        self._start_anew()
        os.register_at_fork(after_in_child=self._start_anew)

    def _start_anew(self) -> None:
        self._prefix = (os.getpid() & 0xFFFFFFFF) << 32
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._retrying = False

    def put(self, data: bytes) -> None:
        number = self._prefix | next(self._numbers) & 0xFFFFFFFF
        if len(data) <= _PART and not self._waiting:
            frame = _HEADER.pack(number, len(data), 1) + data
            try:
                os.write(self._file, frame)
                return
            except OSError:
                pass
            self._wait([frame])
        else:
            self._wait(list(_frames(number, data)))

    def close(self) -> None:
        """Let what waits get through, as long as it moves forward."""

        def through() -> bool:
            if self._push():
                return True
            time.sleep(0.02)
            return False

        if not wait_while_it_moves(through, lambda: self._waiting_bytes, _STILL_SECONDS, _MOST_SECONDS):
            self._drop_waiting()

    def _drop_waiting(self) -> None:
        with self._lock:
            # Of each record, the last frame.
            lost = self._dropped + sum(_HEADER.unpack_from(frame)[2] for frame in self._waiting)
            self._waiting.clear()
            self._waiting_bytes = self._dropped = 0
        _log.error("%d records of tracked tasks are lost: their writer did not read them in time.", lost)

    def _wait(self, frames: list[bytes]) -> None:
        size = sum(map(len, frames))
        with self._lock:
            if self._waiting_bytes + size > _MOST_WAITING:
                self._dropped += 1
                return
            self._waiting.extend(frames)
            self._waiting_bytes += size
        if not self._push() and not self._retrying:
            self._retrying = True
            threading.Thread(target=self._retry, name="celery-tracking-pipe", daemon=True).start()

    def _retry(self) -> None:
        while not self._push():
            time.sleep(0.05)
        self._retrying = False

    def _push(self) -> bool:
        """Write what waits; whether nothing waits any longer."""
        with self._lock:
            while self._waiting:
                try:
                    os.write(self._file, self._waiting[0])
                except OSError:
                    return False
                self._waiting_bytes -= len(self._waiting.popleft())
            if self._dropped:
                lost = pack((LOST, time.time(), self._dropped))
                frames = list(_frames(self._prefix | next(self._numbers) & 0xFFFFFFFF, lost))
                self._waiting.extend(frames)
                self._waiting_bytes += sum(map(len, frames))
                self._dropped = 0
                return False
            return True


class PipeReader:
    """The writer's end, which turns frames into records again."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._rest = b""
        self._parts: dict[int, list[bytes]] = {}

    def read(self) -> list[bytes] | None:
        """Wait for records; ``None`` when every process at the other end has gone."""
        read = os.read(self._file, _SIZE)
        if not read:
            return None
        data = self._rest + read
        records, position, end = [], 0, len(data)
        header, size = _HEADER.unpack_from, _HEADER.size
        while position + size <= end:
            number, length, last = header(data, position)
            after = position + size + length
            if after > end:
                break
            part = data[position + size : after]
            position = after
            if last:
                before = self._parts.pop(number, None) if self._parts else None
                records.append(part if before is None else b"".join([*before, part]))
            else:
                self._parts.setdefault(number, []).append(part)
        self._rest = data[position:]
        self._forget_unfinished()
        return records

    def _forget_unfinished(self) -> None:
        # A process that was killed amid a long record never sends its end.
        while len(self._parts) > 1_000:
            del self._parts[next(iter(self._parts))]


def open_pipe() -> tuple[int, int]:
    """Return the ends to read from and to write to."""
    reading, writing = os.pipe()
    try:
        import fcntl

        fcntl.fcntl(writing, _SET_SIZE, _SIZE)
    except (ImportError, OSError):
        pass  # the system's own size, which is smaller
    return reading, writing


def _frames(number: int, data: bytes) -> Iterator[bytes]:
    for begin in range(0, len(data), _PART):
        part = data[begin : begin + _PART]
        yield _HEADER.pack(number, len(part), begin + _PART >= len(data)) + part
