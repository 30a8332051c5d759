# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows that a purge leaves, in a form that indexes can answer.

"Not older, or not finished" is what no index answers. What follows from it is: younger, or in one of the few other
statuses that there are. Said beside it, that lets the server read the few rows that stay, and not all that go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .census import first_met
from .libraries import sa
from .selection import Selection
from .statuses import Statuses


class Survivors:
    """The rows that meet none of *selections*."""

    def __init__(self, statuses: Statuses, selections: Sequence[Selection]) -> None:
        self._statuses = statuses
        self._selections = selections

    @property
    def going(self) -> list[Any]:
        """The conditions of the rows that do not stay, one for each selection."""
        return [one.condition for one in self._selections]

    def condition(self, connection: Any) -> Any:
        """Return the condition of those that stay.

        It holds for as long as nobody else writes: the statuses that are there are read here.
        """
        goes = sa.or_(*self.going)
        followed = [follows for one in self._selections if (follows := self._follows(connection, one)) is not None]
        return sa.and_(sa.not_(sa.func.coalesce(goes, sa.false())), *followed)

    def count_gone(self, execute: Callable[[Any], Any], table: Any, staying: int) -> list[int]:
        """Return how many rows of *table* each selection takes, a row for the first that it meets.

        :param execute: runs a statement
        :param staying: how many rows stay
        """
        # Without looking into the rows, which takes several times as long.
        going = int(execute(sa.select(sa.func.count()).select_from(table)).scalar()) - staying
        others: dict[int, int] = {}
        if len(self.going) > 1:
            which = sa.select(first_met(self.going).label("which")).where(sa.or_(*self.going[1:])).subquery()
            counted = execute(sa.select(which.c.which, sa.func.count()).group_by(which.c.which))
            others = {row[0]: int(row[1]) for row in counted if row[0] > 0}
        return [going - sum(others.values()), *(others.get(place, 0) for place in range(1, len(self.going)))]

    def _follows(self, connection: Any, selection: Selection) -> Any:
        """Return what is true of every row that does not meet *selection*; ``None`` where no index answers it."""
        axis = selection.axes[0]
        if not axis.indexed or selection.narrowed:
            return None
        others = self._statuses.others(connection, selection.rule.effective_statuses)
        if others is None:
            return None
        undated = axis.column.is_(None) if axis.column.nullable else sa.false()
        return sa.or_(sa.not_(axis.bound), undated, others)
