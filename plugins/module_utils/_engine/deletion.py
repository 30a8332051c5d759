# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How rows are deleted: for good, or by :class:`Archive` into an archive."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from .database import Database
from .libraries import sa

if TYPE_CHECKING:  # a purge for good loads no archive
    from .archive import Archived


class Deletion:
    """Deletes rows for good.

    It is entered before the first batch, and left after the last. What :meth:`delete` deletes belongs
    to the :meth:`transaction` around it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def archived(self) -> Archived | None:
        """What is in the archive."""
        return None

    def most_rows(self, _table: Any) -> int | None:
        """Return how many rows of a table a batch may have at most; ``None`` for any number."""
        return None

    @property
    def reads_ahead(self) -> bool:
        """Whether it is of use to :meth:`foresee`."""
        return False

    def foresee(self, _table: Any, _condition: Any) -> None:
        """Be told what the next transaction, or the one after it, will delete first."""

    def __enter__(self) -> Deletion:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def transaction(self) -> AbstractContextManager[Any]:
        """Give the connection for one transaction."""
        return self._database.transaction()

    def delete(self, connection: Any, table: Any, condition: Any) -> int:
        """Delete the rows of *table* that meet *condition*; return how many."""
        return int(connection.execute(sa.delete(table).where(condition)).rowcount)
