# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statuses as the table spells them.

Rules name statuses in any case, tables spell them in their own: ``SUCCESS``, ``success``, a native
enum, a boolean. A condition on the spellings that are really there can use an index;
``upper(status)`` could not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .database import Database
from .errors import UsageError
from .libraries import sa
from .records import RecordTable
from .rules import ANY_STATUS


class Statuses:
    """The values of a table's status column, read once when they are first asked for."""

    def __init__(self, database: Database, record: RecordTable) -> None:
        self._database = database
        self._record = record
        self.column = record.find("status")
        self._read: list[Any] | None = None

    @property
    def _present(self) -> list[Any]:
        if self._read is None:
            self._read = []
            if self.column is not None and not self._record.profile.flags:
                self._read = _distinct(self._database.rows, self._record, self.column)
        return self._read

    def learn(self, values: Iterable[Any]) -> None:
        """Take *values* for all that there are, from who has just read the whole column for something else."""
        if self._read is None:
            self._read = [value for value in dict.fromkeys(values) if value is not None]

    def condition(self, statuses: Iterable[str]) -> Any:
        """Return the SQL condition that a row is in one of *statuses* (upper case)."""
        statuses = tuple(statuses)
        if ANY_STATUS in statuses:
            return sa.true()
        if self.column is None:
            raise UsageError(f"Table {self._record.name} has no status column, so its rules cannot name statuses.")
        flags = self._record.profile.flags
        if flags:
            unknown = sorted(set(statuses) - set(flags))
            if unknown:
                raise UsageError(
                    f"Table {self._record.name} knows no status {', '.join(unknown)}; "
                    f"its statuses are {', '.join(flags)}."
                )
            return self.column.in_([flags[status] for status in statuses])
        wanted = self._spelt(statuses)
        # In the rule's order, usually with SUCCESS first: the server compares a row with one after the other.
        wanted.sort(key=lambda value: statuses.index(self.label(value)))
        return self.column.in_(wanted) if wanted else sa.false()

    def others(self, connection: Any, statuses: Iterable[str]) -> Any:
        """Return the condition that a row does not meet that of *statuses*, as the column's index answers it.

        It names the statuses that *connection* sees now; ``None`` where learning them takes reading the table.
        """
        statuses = tuple(statuses)
        if ANY_STATUS in statuses or self.column is None:
            return sa.false()
        if self._record.profile.flags or not _hoppable(self._record, self.column):
            return None
        wanted = self._spelt(statuses)
        there = _distinct(lambda statement: list(connection.execute(statement)), self._record, self.column)
        others = [value for value in there if value not in wanted]
        unknown = self.column.is_(None) if self.column.nullable else sa.false()
        return sa.or_(self.column.in_(others) if others else sa.false(), unknown)

    def _spelt(self, statuses: tuple[str, ...]) -> list[Any]:
        return [value for value in self._present if self.label(value) in statuses]

    def label(self, value: Any) -> str:
        """Return the status *value* as rules name it."""
        for name, flag in self._record.profile.flags.items():
            if value is not None and bool(value) == flag:
                return name
        return str(getattr(value, "name", value)).upper()

    def spelling(self, status: str) -> Any:
        """Return *status* as this table would write it.

        As a row or the column's enum already spells it; else in the case of its other statuses.
        """
        flags = self._record.profile.flags
        if flags:
            self.condition([status.upper()])
            return flags[status.upper()]
        known = [*self._present, *(getattr(self.column.type, "enums", None) or ())]
        for value in known:
            if self.label(value) == status.upper():
                return value
        if getattr(self.column.type, "enums", None):
            raise UsageError(
                f"Column {self.column} takes only {', '.join(self.column.type.enums)}, "
                f"so set_status cannot be {status}."
            )
        lower = bool(known) and all(str(value).islower() for value in known)
        return status.lower() if lower else status


def _hoppable(record: RecordTable, column: Any) -> bool:
    return bool(record.leads_index(column)) and not getattr(column.type, "enums", None)


def _distinct(read: Callable[[Any], Sequence[Any]], record: RecordTable, column: Any) -> list[Any]:
    if not _hoppable(record, column):
        return [row[0] for row in read(sa.select(column).distinct()) if row[0] is not None]
    # Hop along the index from one value to the next: a look-up for each instead of a scan.
    values: list[Any] = []
    value = read(sa.select(sa.func.min(column)))[0][0]
    while value is not None:
        values.append(value)
        value = read(sa.select(sa.func.min(column)).where(column > value))[0][0]
    return values
