# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many rows in one statement, in the way that costs each database, and this process, the least."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from .changes import Row
from .merging import Merge, upsert
from .schema import is_time, task_logs
from .users import COLUMN

_MOST_VALUES = 900  # older SQLites take 999 in a statement
_EPOCH = datetime(1970, 1, 1)
_EPOCH_WITH_ZONE = _EPOCH.replace(tzinfo=timezone.utc)


def moment(at: float, dialect: str) -> datetime:
    return (_EPOCH_WITH_ZONE if dialect == "postgresql" else _EPOCH) + timedelta(seconds=at)


def times_of(table: sa.Table) -> list[str]:
    return [column.name for column in table.columns if is_time(column)]


class RowByRow:
    """The driver sends many rows together, or has the database at hand as SQLite's has."""

    def __init__(self, dialect: str, merge: Merge) -> None:
        self._dialect = dialect
        self._times = times_of(merge.table)
        self._statement = upsert(dialect, merge, [])

    def write(self, connection: sa.engine.Connection, rows: list[Row]) -> None:
        connection.execute(self._statement, [self._with_times(row) for row in rows])

    def write_children(self, connection: sa.engine.Connection, rows: list[Row]) -> None:
        ids = dict(_ids(connection, sorted({row["task"] for row in rows})))
        self.write(
            connection,
            [{"task_id": ids[row["task"]], **{key: row[key] for key in row if key != "task"}} for row in rows],
        )

    def _with_times(self, row: Row) -> Row:
        changed = dict(row)
        for name in self._times:
            if changed.get(name) is not None:
                changed[name] = moment(changed[name], self._dialect)
        return changed


class AsDocument:
    """PostgreSQL takes all rows as one JSON document, and finds out to which task they belong by itself."""

    def __init__(self, merge: Merge, users: Any) -> None:
        self._merge = merge
        self._users = users
        columns = [column for column in merge.table.columns if column.name != "id"]
        self._own = self._statement(columns, child=False)
        self._child = self._statement([column for column in columns if column.name != "task_id"], child=True)

    def write(self, connection: sa.engine.Connection, rows: list[Row]) -> None:
        connection.execute(self._own, {"rows": json.dumps(rows)})

    def write_children(self, connection: sa.engine.Connection, rows: list[Row]) -> None:
        connection.execute(self._child, {"rows": json.dumps(rows)})

    def _statement(self, columns: list[sa.Column[Any]], child: bool) -> Any:
        document = sa.cast(sa.bindparam("rows", type_=sa.Text()), postgresql.JSON())
        fields = [sa.column(column.name, _plain_type(column)) for column in columns]
        if child:
            fields.append(sa.column("task", sa.Text()))
        rows = sa.func.json_to_recordset(document).table_valued(*fields).render_derived("new", with_types=True)
        values = [self._value(column, rows.c[column.name]) for column in columns]
        names = [column.name for column in columns]
        if child:
            query = sa.select(task_logs.c.id, *values).select_from(
                rows.join(task_logs, task_logs.c.task_id == rows.c.task)
            )
            return upsert("postgresql", self._merge, ["task_id", *names], query)
        return upsert("postgresql", self._merge, names, sa.select(*values))

    def _value(self, column: sa.Column[Any], new: Any) -> Any:
        if is_time(column):
            return sa.func.to_timestamp(new)
        # PostgreSQL itself takes no text for a number.
        is_own = column.name == COLUMN and not isinstance(self._users, (sa.String, sa.types.NullType))
        return sa.cast(new, self._users) if is_own else new


def _plain_type(column: sa.Column[Any]) -> Any:
    if is_time(column):
        return postgresql.DOUBLE_PRECISION()
    return sa.Integer() if isinstance(column.type, sa.Integer) else sa.Text()


def _ids(connection: sa.engine.Connection, task_ids: list[str]) -> Iterable[tuple[str, int]]:
    for begin in range(0, len(task_ids), _MOST_VALUES):
        some = task_ids[begin : begin + _MOST_VALUES]
        query = sa.select(task_logs.c.task_id, task_logs.c.id).where(task_logs.c.task_id.in_(some))
        for row in connection.execute(query):
            yield row[0], row[1]
