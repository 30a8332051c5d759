# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting at a process's end for what still moves forward."""

from __future__ import annotations

import time
from typing import Callable


def wait_while_it_moves(done: Callable[[], bool], left: Callable[[], int], still: float, most: float) -> bool:
    """Wait until all is done; False where that takes too long.

    :param done: waits for a moment, and says whether all is done
    :param left: how much is left; when that becomes less, it moves forward
    :param still: seconds that it may stand still
    :param most: seconds that it may take
    """
    began = moved = time.monotonic()
    before = left()
    while not done():
        now, rest = time.monotonic(), left()
        if rest < before:
            before, moved = rest, now
        if now - moved > still or now - began > most:
            return False
    return True
