# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one thread compresses for another: all of it, in order, and never much at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.archive_pieces import LetFallError, Pieces

MIB = 1 << 20


def _put(pieces: Pieces, number: int) -> None:
    for count in range(number):
        pieces.put(bytes([count]) * MIB)
    pieces.end()


def test_all_arrive_in_order() -> None:
    pieces = Pieces()
    with ThreadPoolExecutor(1) as beside:
        beside.submit(_put, pieces, 30)
        assert [piece[0] for piece in pieces] == list(range(30))


def test_whoever_is_ahead_waits() -> None:
    pieces = Pieces()
    with ThreadPoolExecutor(1) as beside:
        putting = beside.submit(_put, pieces, 9)
        assert not wait([putting], 0.2).done, "eight are the most"
        some = iter(pieces)
        next(some)
        assert wait([putting], 10).done
        assert len(list(some)) == 8


def test_whoever_waits_ends_when_they_are_let_fall() -> None:
    pieces = Pieces()
    with ThreadPoolExecutor(1) as beside:
        putting = beside.submit(_put, pieces, 30)
        pieces.let_fall()
        with pytest.raises(LetFallError):
            putting.result(10)
