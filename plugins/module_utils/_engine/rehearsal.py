# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Predicting a purge that comes after zombies have been ended.

A cleanup first ends zombies and then purges. Rehearsed, nobody has ended them, yet the plan is to
say what the purge would meet: those rows with their new status, finished just now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .census import unmet
from .database import Database
from .libraries import sa
from .records import RecordTable
from .rules import PurgeRule, ZombieRule
from .selection import Selection

if TYPE_CHECKING:
    from .proof import Containers


class Rehearsal:
    """Conditions and statuses as they will be once *rules* have ended their zombies."""

    def __init__(
        self,
        database: Database,
        record: RecordTable,
        rules: Sequence[ZombieRule],
        containers: Containers | None = None,
    ) -> None:
        self._endings: list[tuple[Any, str, Any]] = []
        if rules:
            # Most purges rehearse nothing; to load this and all that it needs takes a module longer than its work.
            from .zombies import zombie_conditions

            self._endings = zombie_conditions(database, record, rules, containers)

    def condition(self, selection: Selection) -> Any:
        """Return which rows *selection* will meet."""
        if not self._endings:
            return selection.condition
        ended = [condition for condition, _status, _spelling in self._endings]
        taken = [condition for condition, status, _spelling in self._endings if _takes(selection.rule, status)]
        return sa.or_(
            sa.and_(selection.condition, *(unmet(one) for one in ended)),
            sa.and_(sa.or_(sa.false(), *taken), selection.beside_status),
        )

    def status(self, column: Any) -> Any:
        """Return the status that rows will have, as an expression; ``None`` where it is the column."""
        if not self._endings:
            return None
        cases = ((condition, sa.literal(spelling, column.type)) for condition, _status, spelling in self._endings)
        return sa.case(*cases, else_=column)


def _takes(rule: PurgeRule, status: str) -> bool:
    """Whether *rule* deletes a row that was given *status* just now, and so is its task's newest."""
    fresh = rule.older_than is None and not rule.keep_last
    return fresh and (rule.any_status or status in rule.effective_statuses)
