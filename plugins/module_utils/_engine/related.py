# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of the tables beside a record table that are purged with it, though they belong to no single record.

Followers go behind the records. Counters of chords that cannot complete go first, for the records are what proves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .axes import Axis
from .batches import Walker
from .chords import Chords
from .clock import Clock
from .database import Database
from .deletion import Deletion
from .draining import Draining
from .followers import find_followers
from .libraries import sa
from .locked_rows import free_rows
from .pointed_at import PointedAt
from .purge_result import RelatedCount
from .records import RecordTable
from .rules import PurgeRule


class RelatedRows:
    """The rows of one table that are to go: those on ``axes``, which share none, that meet ``rest``."""

    def __init__(self, database: Database, table: Any, key: Sequence[Any], axes: Sequence[Axis], rest: Any) -> None:
        self.table = table
        self._database = database
        self._key = key
        self._axes = axes
        self._rest = rest
        self._drained = False
        self._deleted = 0
        self.kept = False  #: by the server, though they match

    @property
    def conditions(self) -> list[Any]:
        """Which rows they are: one condition for each axis."""
        return [sa.and_(axis.condition, self._rest) for axis in self._axes]

    def leave_referenced(self, pointed_at: PointedAt) -> int:
        """Leave rows that others point at, where such rows are to be left; return how many."""
        keep = pointed_at.keep(self.table)
        if keep is None:
            return 0
        left = sum(pointed_at.count(self.table, condition) for condition in self.conditions)
        self._rest = sa.and_(self._rest, keep)
        return left

    def delete(self, walker: Walker, deletion: Deletion) -> None:
        def change(connection: Any, condition: Any, around_locks: bool) -> int:
            rows = free_rows(connection, self._key, condition) if around_locks else [condition]
            return sum(deletion.delete(connection, self.table, some) for some in rows)

        draining = Draining(self._database, self.table, walker, change)
        self._deleted, self._drained = draining.drain(self._axes, self._rest)
        self.kept = draining.kept

    def count(self) -> RelatedCount:
        """Return how many rows have gone, and how many there were to go."""
        left = 0 if self._drained else sum(self._count(condition) for condition in self.conditions)
        return RelatedCount(self.table.fullname, self._deleted + left, self._deleted)

    def estimate(self) -> int:
        """Return about how many rows there are to go, as far as the server says so."""
        # Loaded only where it is needed: many runs find nothing to do.
        from .estimates import estimate_matching

        return sum(estimate_matching(self._database, self.table, one) or 0 for one in self.conditions)

    def _count(self, condition: Any) -> int:
        return int(self._database.value(sa.select(sa.func.count()).select_from(self.table).where(condition)))


def rows_that_follow(
    database: Database, record: RecordTable, rules: Sequence[PurgeRule], clock: Clock, chords: Chords
) -> Iterator[RelatedRows]:
    """Yield what follows the records that *rules* delete, but for the groups of living chords."""
    for follower, axes in find_followers(database, record, rules, clock):
        rest = sa.true()
        if chords.living_groups and follower.find("task_id") is not None and not any(rule.all for rule in rules):
            rest = follower.column("task_id").not_in(chords.living_groups)
        yield RelatedRows(database, follower.table, follower.primary_key, axes, rest)


def find_orphans(database: Database, chords: Chords) -> Iterator[RelatedRows]:
    """Yield the counters of chords that cannot complete, if there are any."""
    if chords.orphans:
        yield RelatedRows(database, chords.table, [chords.table.c.id], chords.orphan_axes, sa.true())
