# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a run has come, and why it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .errors import ArchiveError, DatabaseError, UsageError

#: Why a run ended that has nothing left to do.
DRAINED = ("drained", "no matching row remains")


@dataclass
class Progress:
    """How far a run has come, over all its walks."""

    changed: int = 0
    batches: int = 0
    writes: int = 0  #: batches that changed a row
    stopped: str = DRAINED[0]
    reason: str = DRAINED[1]
    pauses: dict[str, float] = field(default_factory=dict)  #: seconds that each gate held the run up
    held_by: str | None = None  #: the gate that holds it up now
    started: float = field(default_factory=time.monotonic)
    observe: Callable[[], None] | None = None  #: called after each batch, and while a gate holds it up

    @property
    def ended_early(self) -> bool:
        return self.stopped != DRAINED[0]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def tell(self) -> None:
        """Let whoever watches see it."""
        if self.observe:
            self.observe()

    def stop(self, stopped: str, reason: str) -> None:
        self.stopped, self.reason = stopped, reason


@contextmanager
def telling_what_was_done(progress: Progress, done: str) -> Iterator[None]:
    """Let an error that comes after the first batch say how many rows were *done* before it."""
    try:
        yield
    except (ArchiveError, DatabaseError, UsageError) as error:  # a condition of the user's own may fail midway
        if not progress.changed:
            raise
        told = type(error)(f"{error} Before that, {progress.changed:,} rows were {done} and committed.")
        told.changed = True
        raise told from None
