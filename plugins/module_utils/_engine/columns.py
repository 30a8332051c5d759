# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The columns of a table and its primary key."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from .libraries import sa

_LENGTH = re.compile(r"character varying\((\d+)\)")
_SIMPLE = ["bigint", "boolean", "bytea", "date", "integer", "json", "jsonb", "smallint", "text", "uuid"] + [
    "character varying",
    "timestamp with time zone",
    "timestamp without time zone",
]
#: What holds of the columns of one table in PostgreSQL's catalog.
_OF_TABLE = (
    "a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = (SELECT t.oid FROM pg_catalog.pg_class AS t "
    "JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace "
    "WHERE t.relname = :table AND t.relkind IN ('r', 'p', 'f', 'v', 'm') "
    "AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(t.oid) ELSE n.nspname = :schema END)"
)


def list_columns(connection: Any, table: str, schema: str | None) -> tuple[list[Any], list[str]]:
    """Return the columns of *table*, and the names of those in its primary key; none where there is no such table."""
    if connection.dialect.name == "postgresql":
        found = _postgresql(connection, table, schema)
        if found is not None:
            return found
    inspector = sa.inspect(connection)
    try:
        columns = inspector.get_columns(table, schema=schema)
    except sa.exc.NoSuchTableError:
        columns = []
    if not columns:
        return [], []  # SQLAlchemy 1.4 raises nothing on SQLite
    key = inspector.get_pk_constraint(table, schema=schema)["constrained_columns"]
    return [sa.Column(one["name"], one["type"], nullable=one["nullable"]) for one in columns], key


def written_columns(connection: Any, table: str, schema: str | None) -> list[str]:
    """Return the names of the columns of *table* whose values the server does not compute itself.

    PostgreSQL has to be of version 12 or newer: before, it computes none.
    """
    if connection.dialect.name == "postgresql":
        statement = f"SELECT a.attname FROM pg_catalog.pg_attribute AS a WHERE {_OF_TABLE} AND a.attgenerated = ''"
        found = connection.execute(sa.text(f"{statement} ORDER BY a.attnum"), {"table": table, "schema": schema})
        return list(found.scalars())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of types that SQLAlchemy does not know
        return written_names(sa.inspect(connection).get_columns(table, schema=schema))


def written_names(described: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of those of a table's columns, as SQLAlchemy's inspector describes them."""
    return [column["name"] for column in described if not column.get("computed")]


def _postgresql(connection: Any, table: str, schema: str | None) -> tuple[list[Any], list[str]] | None:
    """Return the same by one question, where the inspector asks six; ``None`` where a type is not an ordinary one.

    It begins with every enum and every domain of the database.
    """
    statement = sa.text(
        "SELECT a.attname, NOT a.attnotnull, "
        "CASE WHEN a.attcollation = y.typcollation THEN format_type(a.atttypid, a.atttypmod) ELSE '' END, "
        "array_position(CAST(k.indkey AS smallint[]), a.attnum) "
        "FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid "
        "LEFT JOIN pg_catalog.pg_index AS k ON k.indrelid = a.attrelid AND k.indisprimary "
        f"WHERE {_OF_TABLE} ORDER BY a.attnum"
    )
    columns: list[Any] = []
    key: dict[int, str] = {}
    for name, nullable, written, place in connection.execute(statement, {"table": table, "schema": schema}):
        kind = _type(connection.dialect, written)
        if kind is None:
            return None
        columns.append(sa.Column(name, kind, nullable=nullable))
        if place is not None:
            key[place] = name
    return columns, [key[place] for place in sorted(key)]


def _type(dialect: Any, written: str) -> Any:
    """Return the type that the inspector would return for what PostgreSQL calls *written*, if that is simple."""
    known = dialect.ischema_names
    length = _LENGTH.fullmatch(written)
    if length:
        return known["character varying"](int(length.group(1)))
    if written not in _SIMPLE:
        return None
    return known[written](timezone=written.endswith("with time zone")) if "time zone" in written else known[written]()
