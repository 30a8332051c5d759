# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a run has come, how fast it is, and how long it will take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # Not loaded: this is used on the controller too, where there may be no SQLAlchemy.
    from .progress import Progress

#: What a run may have to wait for. The controller shows these names, which come from another host, and no others.
GATES = ("hours", "max_replica_lag", "vacuum", "lock_waiters", "condition")

_DIGITS = 3  # of an estimate; more would claim to know it


class Pace(NamedTuple):
    """A run at one moment."""

    done: int  #: rows
    seconds: float  #: since the first batch began
    matched: int | None = None  #: rows that there are to do, if that is known
    estimated: bool = False  #: whether ``matched`` is the server's estimate
    held_by: str | None = None  #: the gate that it waits for, one of :data:`GATES`

    @property
    def share(self) -> float | None:
        """How much is done, from 0 to 1; ``None`` without a number of rows to do, or where it proved too low."""
        return self.done / self.matched if self.matched and self.done <= self.matched else None

    @property
    def text(self) -> str:
        """All of it in words: ``1,250,000 of 4,000,000 rows (31 %), 180,000 rows/s, 15 s left``."""
        rate = self.done / self.seconds if self.seconds else 0.0
        share = self.share
        if share is None or self.matched is None:
            done = f"{self.done:,} rows"
        else:
            matched = f"about {_rounded(self.matched):,}" if self.estimated else f"{self.matched:,}"
            done = f"{self.done:,} of {matched} rows ({int(100 * share)} %)"
        if self.held_by:
            return f"{done}, waiting for the gate {self.held_by}"
        parts = [done, f"{rate:,.0f} rows/s"]
        if rate and share is not None and self.matched is not None:
            parts.append(f"{_words((self.matched - self.done) / rate)} left")
        return ", ".join(parts)


class Rhythm(NamedTuple):
    """When there is something to say."""

    seconds: float  #: between two looks, and before the first
    step: float  #: the share of all rows that is to be done between two lines

    def is_news(self, pace: Pace, told: Pace | None) -> bool:
        if pace.held_by != (told.held_by if told else None):
            return True
        if told is None:
            return pace.done > 0
        if pace.share is None or told.share is None:
            # Without an end in sight, lines become rare as the run becomes long.
            return pace.done > told.done * (2 if self.step else 1)
        return pace.done > told.done and pace.share - told.share >= self.step


def follow(progress: Progress, watch: Callable[[Pace], None], matched: int | None, estimated: bool) -> None:
    """Tell *watch* the pace of *progress*: now, and after each batch."""
    began = time.monotonic()

    def observe() -> None:
        watch(Pace(progress.changed, time.monotonic() - began, matched, estimated, progress.held_by))

    progress.observe = observe
    observe()


def _rounded(number: int) -> int:
    return round(number, _DIGITS - len(str(number)))


def _words(seconds: float) -> str:
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
