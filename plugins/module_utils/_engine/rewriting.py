# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rewriting a table, or emptying it at once, where most of it goes and others may be locked out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from .census import Census
from .database import Database
from .errors import ConnectionLostError, DatabaseError, LockTimeoutError, StatementTimeoutError
from .estimates import estimate_matching
from .limits import Limits
from .records import RecordTable
from .rewrite import FEW_SURVIVORS, FEWEST_ROWS, Hindered, rewrite_of
from .selection import Selection
from .statuses import Statuses
from .strategy import Strategy
from .survivors import Survivors

#: How long everybody may be locked out while all rows are counted before they go.
_TO_EMPTY = timedelta(seconds=5)


class Rewriting(Strategy):
    """As far as possible without batches, which take the rest.

    :param exclusive_lock: how long others may be locked out; ``None`` where they may not for longer than emptying takes
    :param everything: a rule takes every row
    """

    asks = True

    def __init__(
        self,
        database: Database,
        record: RecordTable,
        limits: Limits,
        exclusive_lock: timedelta | None,
        *,
        everything: bool,
        archived: bool,
    ) -> None:
        super().__init__()
        self._database = database
        self._record = record
        self._archived = archived
        self._limits = limits
        self._everything = everything
        self._allowed = everything or exclusive_lock is not None
        self._rewrite = rewrite_of(database, record, _TO_EMPTY if exclusive_lock is None else exclusive_lock)

    def choose(self, before: Census, condition: Any) -> None:
        reason = self._unwanted() or self._rewrite.hindrance() or self._unfit(before, condition)
        if self._allowed:
            self.reason = reason
        elif reason is None:
            self.reason = "few rows stay, but no exclusive_lock allows to lock others out while they are kept"
        if self.reason is None and self._allowed:
            self.name = "truncate" if self._everything else "rewrite"

    def run(self, statuses: Statuses, selections: Sequence[Selection]) -> list[int]:
        self.cleared = self._rewrite.tidy()
        if self.name == "batches":
            return []
        try:
            return self._rewrite.run(Survivors(statuses, selections), self._everything)
        except LockTimeoutError:
            why = "other sessions held the table"
        except StatementTimeoutError:
            why = "it would have locked others out for too long"
        except Hindered as hindered:
            why = str(hindered)
        except ConnectionLostError:
            raise
        except DatabaseError as error:
            why = f"the server refused: {error}"  # a full disk, say; nothing was changed
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
