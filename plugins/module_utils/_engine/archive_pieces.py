# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes on their way from one thread to another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Condition

_MOST = 8 << 20


class LetFallError(Exception):
    """Nobody wants the pieces any more."""


class Pieces:
    """Takes pieces in one thread, and yields them in another. Whoever is 8 MiB ahead waits."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._ended = self._fell = False

    def put(self, piece: bytes) -> None:
        """Add a piece.

        :raises LetFallError: after :meth:`let_fall`
        """
        with self._changed:
            self._changed.wait_for(lambda: self._size < _MOST or self._fell)
            if self._fell:
                raise LetFallError
            self._waiting.append(piece)
            self._size += len(piece)
            self._changed.notify_all()

    def end(self) -> None:
        """Say that there will be no more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def let_fall(self) -> None:
        """Say that no more are wanted."""
        with self._changed:
            self._fell = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    return
                piece = self._waiting.popleft()
                self._size -= len(piece)
                self._changed.notify_all()
            yield piece
