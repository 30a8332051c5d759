# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables whose rows belong to one record: they go before it, in the same transaction."""

from __future__ import annotations

from typing import Any

from .database import Database
from .deletion import Deletion
from .libraries import sa
from .purge_result import RelatedCount
from .records import RecordTable, reflect
from .sizes import table_size


class ChildTables:
    """The child tables of *record*; those that are missing are left out."""

    def __init__(self, database: Database, record: RecordTable, deletion: Deletion) -> None:
        self._database = database
        self._record = record
        self._deletion = deletion
        self.tables = [
            (table, table.c[child.column])
            for child in record.profile.children
            if (table := reflect(database, child.table)) is not None and child.column in table.c
        ]
        self._deleted = [0] * len(self.tables)
        self._in_batch = list(self._deleted)

    def plan(self, condition: Any) -> list[RelatedCount]:
        """Count what goes together with the records that meet *condition*."""
        parents = self._parents(condition)
        counted = (sa.select(sa.func.count()).where(column.in_(parents)) for _table, column in self.tables)
        return [
            RelatedCount(table.fullname, int(self._database.value(statement)))
            for (table, _column), statement in zip(self.tables, counted)
        ]

    @property
    def table_bytes(self) -> int:
        return sum(table_size(self._database, table).table_bytes for table, _column in self.tables)

    @property
    def deleted(self) -> list[RelatedCount]:
        return [
            RelatedCount(table.fullname, deleted, deleted)
            for (table, _column), deleted in zip(self.tables, self._deleted)
        ]

    def begin_batch(self) -> None:
        """Forget what a batch deleted that was not committed."""
        self._in_batch = [0] * len(self.tables)

    def count_batch(self) -> None:
        """Count what the batch deleted, which is committed now."""
        self._deleted = [one + more for one, more in zip(self._deleted, self._in_batch)]

    def delete(self, connection: Any, condition: Any) -> None:
        """Delete the children of the records that meet *condition*, in the caller's transaction."""
        parents = self._parents(condition)
        for number, (table, column) in enumerate(self.tables):
            self._in_batch[number] += self._deletion.delete(connection, table, column.in_(parents))

    def parent_of(self, child: Any, column: Any, condition: Any) -> Any:
        """Return the condition that a record has a row of *child* that meets *condition*."""
        rows = sa.select(sa.literal(1)).select_from(child).where(column == self._record.parent_key, condition)
        return rows.correlate(self._record.table).exists()

    def _parents(self, condition: Any) -> Any:
        return sa.select(self._record.parent_key).where(condition)
