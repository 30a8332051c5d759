# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting a table once: by status, and by the conditions that rows meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .database import Database
from .libraries import sa
from .records import RecordTable
from .sizes import Size, table_size
from .statuses import Statuses


@dataclass(frozen=True)
class Census:
    """Rows by status, of them those that match, and the table's size in bytes.

    ``matched`` has a number for each condition; a row counts for the first that it meets.
    """

    by_status: dict[str, int]
    matched: list[int]
    matched_by_status: dict[str, int]
    size: Size

    @property
    def total(self) -> int:
        return sum(self.by_status.values())

    @property
    def all_matched(self) -> int:
        return sum(self.matched)

    def without_matched(self) -> Census:
        """Return the census as it will be when the matching rows are gone, at the same size."""
        left = {
            status: count - self.matched_by_status.get(status, 0)
            for status, count in self.by_status.items()
        }
        return Census({status: count for status, count in left.items() if count}, [], {}, self.size)


def take_census(
    database: Database, record: RecordTable, statuses: Statuses, conditions: Sequence[Any]
) -> Census:
    """Count *record*'s rows in one pass over the table."""
    status = statuses.column if statuses.column is not None else sa.literal("ALL")
    # Numbers are safe to write out: they are ours.
    which = (
        sa.case(
            *((condition, sa.literal_column(str(n))) for n, condition in enumerate(conditions)),
            else_=sa.literal_column("-1"),
        )
        if conditions
        else sa.literal_column("-1")
    )
    grouped = sa.select(status.label("status"), which.label("which")).select_from(record.table)
    counted = grouped.subquery()
    rows = database.rows(
        sa.select(counted.c.status, counted.c.which, sa.func.count())
        .group_by(counted.c.status, counted.c.which)
        .order_by(counted.c.status)
    )
    by_status: dict[str, int] = {}
    matched_by_status: dict[str, int] = {}
    matched = [0] * len(conditions)
    for value, number, count in rows:
        label = statuses.label(value)
        by_status[label] = by_status.get(label, 0) + count
        if number >= 0:
            matched[number] += count
            matched_by_status[label] = matched_by_status.get(label, 0) + count
    return Census(by_status, matched, matched_by_status, table_size(database, record.table))
