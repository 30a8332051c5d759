# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping the few rows that survive, in place of deleting the many that go: what every database has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Any

from .database import Database
from .errors import CleanupError
from .libraries import sa
from .records import RecordTable
from .survivors import Survivors

FEW_SURVIVORS = 30  # percent; with more of them, deleting the others is as fast
FEWEST_ROWS = 50_000  # below that, deleting takes no longer than taking the lock may


class Hindered(CleanupError):
    """The table cannot be rewritten now, for this reason; nothing was changed."""


class Rewrite(ABC):
    """One rewrite of *record*'s table.

    :param allowed: how long others may be locked out
    """

    def __init__(self, database: Database, record: RecordTable, allowed: timedelta) -> None:
        self._database = database
        self._record = record
        self._allowed = allowed.total_seconds()
        self._table = plain(database.quote(record.table))

    @abstractmethod
    def hindrance(self) -> str | None:
        """Say why the table cannot be rewritten; ``None`` where it can."""

    @abstractmethod
    def tidy(self) -> list[str]:
        """Drop the tables that a run has left behind that was killed; return their names."""

    @abstractmethod
    def run(self, survivors: Survivors, everything: bool) -> list[int]:
        """Keep only *survivors*; return how many rows went for each of their selections.

        :param everything: there are none
        :raises LockTimeoutError: when others hold the table; nothing was changed
        :raises StatementTimeoutError: when it takes longer than is allowed; nothing was changed
        :raises Hindered: when there is something that :meth:`hindrance` did not yet see
        """


class Unsupported(Rewrite):
    """Where no way is known that could not lose a row."""

    def hindrance(self) -> str | None:
        return "only PostgreSQL, from version 12, and MariaDB, from 10.6, can do it and lose nothing"

    def tidy(self) -> list[str]:
        return []

    def run(self, survivors: Survivors, everything: bool) -> list[int]:
        raise Hindered(str(self.hindrance()))


def rewrite_of(database: Database, record: RecordTable, allowed: timedelta) -> Rewrite:
    """Return the rewrite of *record*'s table that *database* is capable of."""
    # Loaded only where it is needed: most runs rewrite nothing.
    if database.kind == "postgresql" and database.server_version() >= (12,):
        from .rewrite_postgresql import RewriteInPlace

        return RewriteInPlace(database, record, allowed)
    if database.is_mariadb and database.server_version() >= (10, 6, 1):
        from .rewrite_mariadb import RewriteBySwapping

        return RewriteBySwapping(database, record, allowed)
    return Unsupported(database, record, allowed)


def plain(quoted: str) -> str:
    """Return a *quoted* name without the doubled % that a statement for the driver has."""
    return quoted.replace("%%", "%")


def text(statement: str) -> Any:
    """Return a *statement* without parameters."""
    # A colon would be taken for one; % is doubled here.
    return sa.text(statement.replace(":", "\\:"))
