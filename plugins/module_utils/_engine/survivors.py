# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows that a purge leaves, in a form that indexes can answer.

"Not older, or not finished" is what no index answers. What follows from it is: younger, or in one of the few other
statuses that there are. Said beside it, that lets the server read the few rows that stay, and not all that go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
