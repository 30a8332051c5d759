# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The indexes that a table has, with what SQLAlchemy does not tell of them in every version."""

from __future__ import annotations

from typing import Any, NamedTuple

from .libraries import sa


class Index(NamedTuple):
    """An index as it is in the database.

    ``columns`` has ``None`` for an expression. ``where`` is the predicate of a partial index, and
    ``valid`` is false for what a build left that did not come to its end.
    """

    name: str
    columns: tuple[str | None, ...]
    where: str = ""
    valid: bool = True
    schema: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every row of the table is in it, so that it serves any walk along its columns."""
        return self.valid and not self.where


def list_indexes(connection: Any, table: str, schema: str | None) -> list[Index]:
    """Return the indexes of *table*, by name."""
    kind = connection.dialect.name
    if kind == "postgresql":
        return _postgresql(connection, table, schema)
    if kind == "sqlite":
        return _sqlite(connection, table, schema)
    # MariaDB and MySQL know neither partial indexes nor unfinished ones.
    return [
        Index(index["name"], tuple(index["column_names"]))
        for index in sa.inspect(connection).get_indexes(table, schema=schema)
    ]


def _postgresql(connection: Any, table: str, schema: str | None) -> list[Index]:
    # An invalid index of a partitioned table only lacks that of a partition; nothing is done about it here.
    statement = sa.text(
        "SELECT c.relname, n.nspname, pg_get_expr(i.indpred, i.indrelid), i.indisvalid, ARRAY("
        "SELECT CAST(a.attname AS text) FROM unnest(CAST(i.indkey AS smallint[])) WITH ORDINALITY AS k (number, place) "
        "LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0 "
        "ORDER BY k.place) "
        "FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid "
        "JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid "
        "JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace "
        "WHERE t.relname = :table AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(t.oid) "
        "ELSE n.nspname = :schema END AND (i.indisvalid OR c.relkind = 'i') ORDER BY 1"
    )
    rows = connection.execute(statement, {"table": table, "schema": schema})
    return [Index(name, tuple(columns), where or "", valid, space) for name, space, where, valid, columns in rows]


def _sqlite(connection: Any, table: str, schema: str | None) -> list[Index]:
    statement = sa.text(
        "SELECT l.name, l.partial, m.sql, i.name FROM pragma_index_list(:table, :schema) AS l "
        "JOIN pragma_index_info(l.name, :schema) AS i LEFT JOIN sqlite_master AS m ON m.name = l.name "
        "ORDER BY l.name, i.seqno"
    )
    columns: dict[str, list[str | None]] = {}
    where: dict[str, str] = {}
    for name, partial, sql, column in connection.execute(statement, {"table": table, "schema": schema or "main"}):
        columns.setdefault(name, []).append(column)
        # What follows the last WHERE may be a part of the predicate only; it says that there is one.
        where[name] = str(sql or "WHERE ?").upper().rpartition("WHERE")[2].strip() if partial else ""
    return [Index(name, tuple(columns[name]), where[name]) for name in columns]
