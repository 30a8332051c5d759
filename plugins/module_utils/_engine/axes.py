# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Along which column a walk over a table goes."""

from __future__ import annotations

from typing import Any, NamedTuple

from .database import Database
from .errors import UsageError
from .libraries import sa
from .records import RecordTable


class Axis(NamedTuple):
    """A column to walk along, and the part of the table that is walked.

    ``bound`` limits the walk itself (``indexed``: the column's index answers it), ``extra`` only
    what is changed on the way. ``ties`` are the columns that tell rows with equal values apart.
    """

    column: Any
    bound: Any
    extra: Any
    ties: tuple[Any, ...] = ()
    indexed: bool = False

    @property
    def condition(self) -> Any:
        return sa.and_(self.bound, self.extra)

    def look(self, condition: Any) -> Any:
        """Return the statement that finds one row on this axis that meets *condition*, if there is one."""
        found: Any = sa.select(sa.literal_column("1")).select_from(self.column.table)
        statement = found.where(self.condition, condition).limit(1)
        # Statistics do not know that a purge has just deleted what matched: a server that expects to meet a row soon
        # would read the table from its beginning. In the index's order it reads no more than the bound.
        return statement.order_by(self.column) if self.indexed else statement


def whole_table(record: RecordTable) -> Axis:
    """Walk over every row, along the primary key."""
    key = record.primary_key or _any_column(record)
    return Axis(key[0], sa.true(), sa.true(), key[1:])


def older_than(record: RecordTable, cutoffs: dict[Any, Any]) -> list[Axis]:
    """Walk over the rows whose age column lies before its cut-off.

    The first of the columns that is not NULL tells a row's age. Each column that has an index gets
    a walk of its own along it; where one has none, one walk along the primary key does it all.

    :param cutoffs: the age columns, best first, each with the moment to compare it with
    """
    axes: list[Axis] = []
    missing: Any = sa.true()
    for column, cutoff in cutoffs.items():
        axes.append(Axis(column, column < cutoff, missing, record.primary_key, record.leads_index(column)))
        if not column.nullable:
            break
        missing = sa.and_(missing, column.is_(None))
    walkable = all(axis.indexed for axis in axes)
    if walkable or not record.primary_key:
        return axes
    everywhere = whole_table(record)
    dated = sa.or_(*(axis.condition for axis in axes))
    return [Axis(everywhere.column, sa.true(), dated, everywhere.ties)]


def comparable(database: Database, expression: Any) -> Any:
    """Return *expression* in a form whose values can be read and compared again exactly.

    SQLite keeps dates as text, in more than one spelling; only the text itself, as it stands, is
    compared alike by the index and by what is read back.
    """
    if database.kind == "sqlite" and isinstance(expression.type, (sa.Date, sa.DateTime)):
        return sa.type_coerce(expression, sa.Text())
    return expression


def _any_column(record: RecordTable) -> tuple[Any, ...]:
    if not record.age_columns:
        raise UsageError(f"Table {record.name} has no primary key and no date to walk along.")
    column = record.age_columns[0]
    if column.nullable:
        raise UsageError(
            f"Table {record.name} has no primary key, and {column.name} may be empty, so no walk "
            "reaches every row. Add a primary key."
        )
    return (column,)
