# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chords of django-celery-results that still wait for their members.

A chord's counter lists its members. When the row of one is deleted, the member reads as PENDING for
ever and the chord's body never runs, so members of a living chord are kept at any age. A counter
whose members all ended long ago, or left no trace for as long, belongs to a chord that cannot
complete: nothing else ever deletes it, for it has no date of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from .axes import Axis
from .clock import Clock
from .database import Database
from .libraries import sa
from .records import RecordTable, known_table
from .rules import TERMINAL_STATUSES
from .statuses import Statuses

_CHUNK = 500  # identifiers in one statement
_ORPHANS = 250  # with three values each


class Chords:
    """The counters in the database, each living or orphaned, as of when this is made.

    :param orphaned_after: from what age a chord without living members is an orphan; ``None``: never
    :param everything: every record is to go, so every chord counts as an orphan
    """

    def __init__(
        self,
        database: Database,
        record: RecordTable,
        clock: Clock,
        statuses: Statuses,
        orphaned_after: timedelta | None,
        everything: bool = False,
    ) -> None:
        self._database = database
        self._record = record
        self._clock = clock
        self._statuses = statuses
        self.table: Any = None
        if record.profile.chords:
            self.table = known_table(database, record.profile.chords, "id", "group_id", "sub_tasks", "count")
        self._counters: list[Any] = []
        if self.table is not None:
            columns = self.table.c
            self._counters = list(
                database.rows(sa.select(columns.id, columns.group_id, columns.sub_tasks, columns.count))
            )
        self._members = {row.id: _member_ids(row.sub_tasks) for row in self._counters}
        self.orphans: list[Any] = []
        if everything:
            self.orphans = self._counters
        elif orphaned_after is not None and self._counters:
            self.orphans = self._find_orphans(orphaned_after)

    @property
    def _living(self) -> list[Any]:
        gone = {row.id for row in self.orphans}
        return [row for row in self._counters if row.id not in gone]

    @property
    def living_groups(self) -> list[str]:
        return [row.group_id for row in self._living]

    def protected(self, condition: Any) -> list[str]:
        """Return the task ids of living chords' members among the rows that meet *condition*."""
        members = [task for row in self._living for task in self._members[row.id]]
        if not members:
            return []
        column = self._record.column("task_id")
        return [
            row[0]
            for chunk in _chunks(members)
            for row in self._database.rows(sa.select(column).where(column.in_(chunk), condition))
        ]

    @property
    def ended_before(self) -> Any:
        """The condition that a row had ended when this was made, or does not say when it ended.

        A row that ends later may be a member that was not there, or of a chord that was not.
        """
        finished = self._record.column("finished")
        return sa.or_(finished.is_(None), finished <= self._clock.moment(finished))

    @property
    def orphan_axes(self) -> list[Axis]:
        """The orphans whose count has not moved since."""
        columns = self.table.c
        return [
            Axis(
                columns.id,
                columns.id.in_([row.id for row in some]),
                sa.or_(*(sa.and_(columns.id == row.id, columns.count == row.count) for row in some)),
            )
            for some in _chunks(self.orphans, _ORPHANS)
        ]

    def keep(self, condition: Any = None) -> int:
        """Count orphans that are still there, and meet *condition*, as living; return how many."""
        identifier = self.table.c.id
        found = sa.select(identifier) if condition is None else sa.select(identifier).where(condition)
        kept = {
            row[0]
            for some in _chunks([row.id for row in self.orphans])
            for row in self._database.rows(found.where(identifier.in_(some)))
        }
        self.orphans = [row for row in self.orphans if row.id not in kept]
        return len(kept)

    def _find_orphans(self, after: timedelta) -> list[Any]:
        finished = self._record.column("finished")
        status = self._record.column("status")
        task_id = self._record.column("task_id")
        seen: dict[str, tuple[Any, Any]] = {}
        for chunk in _chunks([task for ids in self._members.values() for task in ids]):
            for row in self._database.rows(sa.select(task_id, status, finished).where(task_id.in_(chunk))):
                seen[row[0]] = (self._statuses.label(row[1]), row[2])
        cutoff = self._clock.moment(finished, after)
        newest_old = 0  # the last counter that is known to have been made before the cut-off
        for identifier, members in self._members.items():
            if any(task in seen and seen[task][1] < cutoff for task in members):
                newest_old = max(newest_old, identifier)
        orphans = []
        for row in self._counters:
            rows = [seen[task] for task in self._members[row.id] if task in seen]
            if any(label not in TERMINAL_STATUSES or date >= cutoff for label, date in rows):
                continue
            if rows or (self._members[row.id] and row.id < newest_old):
                orphans.append(row)
        return orphans


def _member_ids(sub_tasks: str) -> list[str]:
    """Read a counter's members: a JSON list of results as ``[[id, parent], children]``."""
    try:
        return list(_identifiers(json.loads(sub_tasks)))
    except (TypeError, ValueError):
        return []


def _identifiers(results: Any) -> Iterator[str]:
    for result in results or ():
        if isinstance(result, list) and result and isinstance(result[0], list) and result[0]:
            yield str(result[0][0])
            if len(result) > 1:
                yield from _identifiers(result[1])


def _chunks(values: Sequence[Any], size: int = _CHUNK) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
