# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a purge deletes in batches, rewrites the table, or empties it at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from .batches import Limits
from .census import Census
from .database import Database
from .errors import LockTimeoutError, StatementTimeoutError
from .estimates import estimate_matching
from .records import RecordTable
from .rewrite import FEW_SURVIVORS, FEWEST_ROWS, Hindered, rewrite_of
from .rules import PurgeRule
from .survivors import Survivors

#: How long everybody may be locked out while all rows are counted before they go.
_TO_EMPTY = timedelta(seconds=5)


class Strategy:
    """How one purge goes about it: as far as possible without batches, which take the rest.

    :param exclusive_lock: how long others may be locked out; ``None`` where they may not
    :param archived: the rows go into an archive, which only batches do
    """

    def __init__(
        self,
        database: Database,
        record: RecordTable,
        rules: Sequence[PurgeRule],
        limits: Limits,
        exclusive_lock: timedelta | None,
        *,
        archived: bool = False,
    ) -> None:
        self._database = database
        self._record = record
        self._archived = archived
        self._limits = limits
        self._everything = any(rule.all for rule in rules)
        self._allowed = exclusive_lock or (_TO_EMPTY if self._everything else None)
        self._rewrite = rewrite_of(database, record, self._allowed) if self._allowed else None
        self.name = "batches"
        self.reason: str | None = None
        self.cleared: list[str] = []  #: tables that a run had left that was killed

    def choose(self, before: Census, condition: Any) -> None:
        """Choose by how many of the rows meet *condition* and go: as counted, or as the server's planner sees it."""
        if self._rewrite is None:
            return
        self.reason = self._unwanted() or self._rewrite.hindrance() or self._unfit(before, condition)
        if self.reason is None:
            self.name = "truncate" if self._everything else "rewrite"

    def run(self, survivors: Survivors) -> list[int]:
        """Keep only *survivors*; return how many went for each selection, or nothing where batches are to do it."""
        if self._rewrite is None:
            return []
        self.cleared = self._rewrite.tidy()
        if self.name == "batches":
            return []
        try:
            return self._rewrite.run(survivors, self._everything)
        except LockTimeoutError:
            why = "other sessions held the table"
        except StatementTimeoutError:
            why = "it would have locked others out for too long"
        except Hindered as hindered:
            why = str(hindered)
        self.name, self.reason = "batches", why
        return []

    def _unwanted(self) -> str | None:
        limits = self._limits
        if self._archived:
            return "rows are archived in batches"
        if limits.max_rows is not None or limits.time_budget is not None:
            return "max_rows and time_budget need batches"
        if self._record.profile.children:
            return "the rows of its child tables go with its own"
        return None

    def _unfit(self, before: Census, condition: Any) -> str | None:
        if self._everything:
            return None
        going: int | None = before.all_matched
        if not before.matched:
            going = estimate_matching(self._database, self._record.table, condition)
        survivors = before.total - (going or 0)
        if before.total < FEWEST_ROWS:
            return f"it has only {before.total:,} rows"
        if survivors * 100 > FEW_SURVIVORS * before.total:
            about = "" if before.matched else "about "
            return f"{about}{survivors:,} of {before.total:,} rows stay"
        return None
