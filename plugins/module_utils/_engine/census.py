# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting a table once: by status, and by the conditions that rows meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .database import Database
from .libraries import sa
from .records import RecordTable
from .sizes import Size, estimate_rows, table_size
from .statuses import Statuses

#: A table of more rows is not counted where the server has an estimate; counting so many takes a tenth of a second.
COUNTED_ROWS = 200_000


@dataclass(frozen=True)
class Census:
    """How many rows there are, and the table's size in bytes.

    ``matched`` has a number for each condition; a row counts for the first that it meets.
    ``by_status`` is empty, and the total an estimate, where the rows were not counted one by one.
    """

    total: int
    size: Size
    by_status: dict[str, int] = field(default_factory=dict)
    matched: list[int] = field(default_factory=list)
    matched_by_status: dict[str, int] = field(default_factory=dict)
    estimated: bool = False

    @property
    def all_matched(self) -> int:
        return sum(self.matched)

    def without(self, going: dict[str, int]) -> Census:
        """Return the census as it will be when *going*, by status, are gone, at the same size."""
        left = {status: count - going.get(status, 0) for status, count in self.by_status.items()}
        return census_of({status: count for status, count in left.items() if count}, self.size)


def census_of(by_status: dict[str, int], size: Size) -> Census:
    return Census(sum(by_status.values()), size, dict(sorted(by_status.items())))


def take_census(
    database: Database,
    record: RecordTable,
    statuses: Statuses,
    conditions: Sequence[Any],
    status: Any = None,
    size: Size | None = None,
) -> Census:
    """Count *record*'s rows in one pass over the table.

    :param status: what to count by in place of the status column
    :param size: the table's size, where that is known already
    """
    if status is None:
        status = statuses.column if statuses.column is not None else sa.literal("ALL")
    which = first_met(conditions)
    grouped = sa.select(status.label("status"), which.label("which")).select_from(record.table)
    counted = grouped.subquery()
    rows = database.rows(
        sa.select(counted.c.status, counted.c.which, sa.func.count()).group_by(counted.c.status, counted.c.which)
    )
    if status is statuses.column:
        statuses.learn(value for value, _number, _count in rows)
    by_status: dict[str, int] = {}
    matched_by_status: dict[str, int] = {}
    matched = [0] * len(conditions)
    for value, number, count in rows:
        label = statuses.label(value)
        by_status[label] = by_status.get(label, 0) + count
        if number >= 0:
            matched[number] += count
            matched_by_status[label] = matched_by_status.get(label, 0) + count
    size = size or table_size(database, record.table)
    # Sorted by label, not by spelling: before and after then differ in numbers alone.
    return Census(sum(by_status.values()), size, dict(sorted(by_status.items())), matched, matched_by_status)


def first_met(conditions: Sequence[Any]) -> Any:
    """Return the expression of which of *conditions* a row meets first, by its place; -1 for none."""
    # Numbers are safe to write out: they are ours.
    none: Any = sa.literal_column("-1")
    places: list[Any] = [(one, sa.literal_column(str(place))) for place, one in enumerate(conditions)]
    return sa.case(*places, else_=none) if conditions else none


def unmet(condition: Any) -> Any:
    """Return the condition that a row does not meet *condition*."""
    # NOT NULL would be NULL, and lose rows whose dates are missing.
    return sa.case((condition, 1), else_=0) == 0


def take_totals(database: Database, record: RecordTable, statuses: Statuses) -> Census:
    """Tell how many rows *record* has, without reading all of them where they are many.

    Counting every row of a large table twice would take as long as purging it.
    """
    size = table_size(database, record.table)
    about = estimate_rows(database, record.table)
    if about is not None and about > COUNTED_ROWS:
        return Census(about, size, estimated=True)
    if about is None:
        counted = int(database.value(sa.select(sa.func.count()).select_from(record.table)))
        if counted > COUNTED_ROWS:
            return Census(counted, size)
    return take_census(database, record, statuses, (), size=size)
