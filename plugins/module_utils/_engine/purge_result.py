# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a purge has done, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .archive import Archived
    from .census import Census
    from .progress import Progress
    from .rules import PurgeRule


@dataclass
class RuleCount:
    """What one rule matched and deleted; ``note`` says why it could not select."""

    rule: PurgeRule
    matched: int
    deleted: int = 0
    note: str | None = None
    drained: bool = False  #: the last look found no matching row


@dataclass
class RelatedCount:
    """Rows of one table beside the record table: those that were to go, and that went."""

    table: str
    matched: int
    deleted: int = 0


class PurgeResult(NamedTuple):
    """What a purge did, or in check mode what it would do."""

    table: str
    rules: list[RuleCount]
    related: list[RelatedCount]
    before: Census
    after: Census
    protected: int  #: rows that were kept for a living chord
    referenced: int  #: rows that were kept because rows of other tables point at them
    remaining: int  #: rows that still match, here and in the tables that follow
    progress: Progress
    seconds: float
    check: bool
    archive: Archived | None
    strategy: str  #: ``batches``, ``rewrite`` or ``truncate``
    strategy_reason: str | None  #: why it was batches where something faster was asked for
    cautions: list[str]  #: what foreign keys cost, and take with them
    cleared: list[str]  #: tables that a run had left that was killed, dropped by now

    @property
    def matched(self) -> int:
        return sum(one.matched for one in self.rules)

    @property
    def deleted(self) -> int:
        return sum(one.deleted for one in self.rules)

    @property
    def going(self) -> int:
        """How many of them go; in check mode, where a limit may end the run before, how many would."""
        return self.before.total - self.after.total if self.check else self.deleted

    @property
    def changed(self) -> bool:
        """Whether anything was deleted or dropped, or in check mode would be deleted."""
        related = sum(one.matched if self.check else one.deleted for one in self.related)
        return bool((self.matched if self.check else self.deleted) or related or self.cleared)

    @property
    def notes(self) -> list[str]:
        missing = [f"Rule {one.rule.name} {one.note}." for one in self.rules if one.note]
        left = " and ".join(self.cleared)
        cleared = [f"Dropped {left}, which a run that was killed had left."] if left else []
        return missing + self.cautions + cleared
