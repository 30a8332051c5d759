# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which records a purge deletes that ends before the last of them: those that its walks come to first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .axes import comparable
from .census import unmet
from .database import Database
from .libraries import sa
from .records import RecordTable
from .rehearsal import Rehearsal
from .selection import Selection
from .statuses import Statuses


def first_by_status(
    database: Database,
    record: RecordTable,
    statuses: Statuses,
    selections: Sequence[Selection],
    rehearsal: Rehearsal,
    most: int,
) -> dict[str, int]:
    """Count the first *most* rows of *selections* by status."""
    taken: Counter[str] = Counter()
    column = statuses.column if statuses.column is not None else sa.literal("ALL")
    rehearsed = rehearsal.status(column)
    status = (column if rehearsed is None else rehearsed).label("status")
    for axis, condition in _walks(selections, rehearsal):
        left = most - sum(taken.values())
        if left <= 0:
            break
        order = [comparable(database, axis.column), *axis.ties]
        first = sa.select(status).select_from(record.table).where(condition).order_by(*order).limit(left).subquery()
        counted = sa.select(first.c.status, sa.func.count()).group_by(first.c.status)
        for value, number in database.rows(counted):
            taken[statuses.label(value)] += int(number)
    return dict(taken)


def _walks(selections: Sequence[Selection], rehearsal: Rehearsal) -> Iterator[tuple[Any, Any]]:
    """Yield the axes in the order in which they are walked, each with the condition of what is left on it by then."""
    gone: list[Any] = []
    for selection in selections:
        condition = rehearsal.condition(selection)
        for axis in selection.axes:
            yield axis, sa.and_(axis.condition, condition, *gone)
        gone.append(unmet(condition))
