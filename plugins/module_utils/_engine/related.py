# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables beside a record table, purged together with it.

*Children* belong to one record and go before it, in the same transaction. *Followers* (group
results, queue statistics) have no status: their rows go at the age at which every finished record
has gone. Counters of chords that cannot complete go last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .axes import Axis, older_than, whole_table
from .batches import Limits, Progress, Walker
from .chords import Chords
from .clock import Clock
from .database import Database
from .deletion import Deletion
from .libraries import sa
from .records import RecordTable, reflect
from .rules import PurgeRule


@dataclass
class RelatedCount:
    """Rows of one table beside the record table."""

    table: str
    matched: int
    deleted: int = 0


@dataclass(frozen=True)
class _Follower:
    record: RecordTable
    axes: tuple[Axis, ...]
    rest: Any

    @property
    def condition(self) -> Any:
        return sa.and_(sa.or_(*(axis.condition for axis in self.axes)), self.rest)


class RelatedTables:
    """What lies beside *record* in this database; tables that are missing are left out."""

    def __init__(
        self,
        database: Database,
        record: RecordTable,
        rules: Sequence[PurgeRule],
        clock: Clock,
        chords: Chords,
        deletion: Deletion,
    ) -> None:
        self._database = database
        self._record = record
        self._deletion = deletion
        self._chords = chords
        self._children = [
            (table, table.c[child.column])
            for child in record.profile.children
            if (table := reflect(database, child.table)) is not None and child.column in table.c
        ]
        self._deleted_children = [0] * len(self._children)
        self._in_batch = list(self._deleted_children)
        everything = any(rule.all for rule in rules)
        age = timedelta(0) if everything else age_of_followers(rules)
        self._followers = [
            self._follower(RecordTable(database, profile, table), clock, None if everything else age)
            for profile in record.profile.followers
            if age is not None and (table := reflect(database, profile.table)) is not None
        ]

    def plan(self, condition: Any) -> list[RelatedCount]:
        """Count what goes together with the records that meet *condition*."""
        parents = self._parents(condition)
        counts = [
            RelatedCount(table.fullname, self._count(table, column.in_(parents))) for table, column in self._children
        ]
        counts += [
            RelatedCount(one.record.name, self._count(one.record.table, one.condition)) for one in self._followers
        ]
        if self._chords.orphans:
            counts.append(RelatedCount(self._chords.name, len(self._chords.orphans)))
        return [one for one in counts if one.matched]

    def begin_batch(self) -> None:
        """Forget what a batch deleted that was not committed."""
        self._in_batch = [0] * len(self._children)

    def count_batch(self) -> None:
        """Count what the batch deleted, which is committed now."""
        self._deleted_children = [one + more for one, more in zip(self._deleted_children, self._in_batch)]

    def delete_children(self, connection: Any, condition: Any) -> None:
        """Delete the children of the records that meet *condition*, in the caller's transaction."""
        parents = self._parents(condition)
        for number, (table, column) in enumerate(self._children):
            self._in_batch[number] += self._deletion.delete(connection, table, column.in_(parents))

    def delete_rest(self, limits: Limits, stopped: bool) -> list[RelatedCount]:
        """Delete followers and orphans unless the run stopped; return all that was deleted."""
        counts = [
            RelatedCount(table.fullname, deleted, deleted)
            for (table, _column), deleted in zip(self._children, self._deleted_children)
        ]
        if not stopped:
            unlimited = Limits(batch_size=limits.batch_size, pause=limits.pause)
            for follower in self._followers:
                deleted = self._delete_follower(follower, unlimited)
                counts.append(RelatedCount(follower.record.name, deleted, deleted))
            deleted = self._chords.delete_orphans(self._deletion)
            counts.append(RelatedCount(self._chords.name, deleted, deleted))
        return [one for one in counts if one.deleted]

    def _delete_follower(self, follower: _Follower, limits: Limits) -> int:
        walker = Walker(self._database, limits, Progress(), deletion=self._deletion)

        def delete(connection: Any, condition: Any, _around_locks: bool) -> int:
            return self._deletion.delete(connection, follower.record.table, condition)

        for axis in follower.axes:
            walker.walk(axis, follower.rest, delete)
        return walker.progress.changed

    def _follower(self, follower: RecordTable, clock: Clock, age: timedelta | None) -> _Follower:
        if age is None:
            return _Follower(follower, (whole_table(follower),), sa.true())
        cutoffs = {column: clock.moment(column, age) for column in follower.age_columns}
        rest = sa.true()
        if self._chords.living_groups and follower.find("task_id") is not None:
            rest = follower.column("task_id").not_in(self._chords.living_groups)
        return _Follower(follower, tuple(older_than(follower, cutoffs)), rest)

    def _parents(self, condition: Any) -> Any:
        key = self._record.primary_key
        return sa.select(key[0] if key else self._record.identity).where(condition)

    def _count(self, table: Any, condition: Any) -> int:
        statement = sa.select(sa.func.count()).select_from(table).where(condition)
        return int(self._database.value(statement))


def age_of_followers(rules: Sequence[PurgeRule]) -> timedelta | None:
    """Return the age at which *rules* have deleted every finished record.

    ``None`` where they keep some of them for ever: then nothing follows.
    """
    ages = []
    for status in ("SUCCESS", "FAILURE"):
        covering = [
            rule.older_than or timedelta(0)
            for rule in rules
            if not rule.tasks and not rule.keep_last and (rule.any_status or status in rule.effective_statuses)
        ]
        if not covering:
            return None
        ages.append(min(covering))
    return max(ages)
