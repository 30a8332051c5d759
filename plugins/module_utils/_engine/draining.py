# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleting what matches in one table, until a look finds that nothing is left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .axes import Axis
from .batches import Change, Walker
from .database import Database

if TYPE_CHECKING:
    from .stillness import Stillness

_ROUNDS = 3  # walks before rows that keep coming are left for the next run


class Draining:
    """Walks over one table, until no row matches, a limit is met, or other sessions hold what is left.

    :param walker: this table's own
    :param change: deletes the rows of a batch

    ``kept`` tells afterwards that rows match, and that nobody holds them, but that the server deletes none of them.
    """

    kept = False

    def __init__(self, database: Database, table: Any, walker: Walker, change: Change) -> None:
        self._database = database
        self._table = table
        self._walker = walker
        self._progress = walker.progress
        self._change = change
        self._stillness: Stillness | None = None
        self._writes_before = 0

    def drain(self, axes: Iterable[Axis], rest: Any) -> tuple[int, bool]:
        """Delete the rows on *axes* that meet *rest*; return how many, and whether the last look found none."""
        before = self._progress.changed
        drained = self._walk_until_drained(tuple(axes), rest)
        return self._progress.changed - before, drained

    def _walk_until_drained(self, axes: tuple[Axis, ...], rest: Any) -> bool:
        in_vain = 0  # walks, one after the other
        for round_number in range(_ROUNDS):
            # Asked again after the walk: rows that came to match behind it belong to this run
            # too, and only when none is left has it done what was asked.
            walked = round_number > 0
            if self._progress.ended_early or (walked and self._walker.locked_out):
                return False
            if (walked and self._undisturbed()) or not self._left(axes, rest):
                return True
            self._begin()
            before = self._progress.changed
            for axis in axes:
                self._walker.walk(axis, rest, self._change)
            self._walker.sweep()
            in_vain = in_vain + 1 if self._progress.changed == before else 0
        self.kept = in_vain > 1 and not self._walker.locked_out
        return False

    def _begin(self) -> None:
        if self._stillness is None:
            # Loaded only where it is needed: many runs find nothing to do.
            from .stillness import Stillness

            self._stillness = Stillness(self._database, self._table)
            self._writes_before = self._progress.writes
        if not self._progress.batches:
            self._progress.tell()

    def _undisturbed(self) -> bool:
        own = self._progress.writes - self._writes_before
        return self._stillness is not None and self._stillness.unbroken(own)

    def _left(self, axes: tuple[Axis, ...], rest: Any) -> bool:
        return any(self._database.rows(axis.look(rest)) for axis in axes)
