# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows as lines of an archive.

A line is a JSON list: the table's name, then the values in the order of the columns that the manifest
tells. The server itself writes them, as text in the form in which it reads them again, so nothing is
lost that a driver or Python does not know, and no row passes through Python objects. SQLite, where any
column may hold values of any type, keeps their types instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .archive_copy import Receive, copy_deleted
from .database import Database
from .errors import ArchiveError
from .libraries import sa

_ROWS_BY_KEY = 500
_AT_ONCE = 1_000  # rows that are handed on together


def column_document(database: Database, column: Any) -> dict[str, str]:
    """Return *column* as the manifest tells it."""
    return {"name": column.name, "type": type_words(database, column.type), "form": _form(database, column)}


def type_words(database: Database, kind: Any) -> str:
    """Return what a column's type is called in SQL."""
    try:
        return str(kind.compile(dialect=database.dialect))
    except sa.exc.SQLAlchemyError:
        return type(kind).__name__  # one that SQLAlchemy cannot spell


def delete_into(database: Database, connection: Any, table: Any, condition: Any, receive: Receive) -> int:
    """Delete the rows of *table* that meet *condition*, and hand their lines to *receive*; return how many."""
    if database.kind == "postgresql":
        return copy_deleted(connection, table, condition, receive)
    columns = _selected(database, table)
    if _returns_deleted(connection):
        rows = connection.execute(sa.delete(table).where(condition).returning(*columns))
        return _hand_on(database, table, rows, receive)
    key = list(table.primary_key) or list(table.c)
    if database.kind == "sqlite":
        # Its driver opens the transaction only here, and nobody else may write between the two statements.
        connection.execute(sa.delete(table).where(sa.false()))
    found = connection.execute(sa.select(*columns, *key).where(condition).with_for_update()).fetchall()
    count = _hand_on(database, table, (row[: len(columns)] for row in found), receive)
    keys = [row[len(columns) :] for row in found]
    deleted = 0
    for start in range(0, count, _ROWS_BY_KEY):
        statement = sa.delete(table).where(matching(key, keys[start : start + _ROWS_BY_KEY]))
        deleted += int(connection.execute(statement).rowcount)
    if deleted != count:
        # Without a primary key, by values that a driver or the server does not compare as it reads them.
        raise ArchiveError(
            f"Of {count:,} rows of {table.fullname} that were archived only {deleted:,} could be found again by their "
            "values. Add a primary key, or leave the archive out. This batch was neither archived nor deleted."
        )
    return count


def matching(columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Any:
    """Return the condition that *columns* have the values of one of *rows*."""
    if len(columns) == 1:
        return columns[0].in_([row[0] for row in rows])
    return sa.or_(
        sa.false(),
        *(
            sa.and_(*(column.is_(None) if value is None else column == value for column, value in zip(columns, row)))
            for row in rows
        ),
    )


def as_text(database: Database, column: Any) -> Any:
    """Return the expression for *column*'s value as it stands in a line."""
    if database.kind == "postgresql":
        return sa.cast(column, sa.Text())
    if database.kind == "sqlite":
        return sa.type_coerce(column, sa.types.NullType())
    form = _form(database, column)
    if form == "hex":
        return sa.func.hex(column)
    if form == "number":
        # The text of a FLOAT drops digits, that of a BIT is its bytes.
        column = sa.type_coerce(column, sa.Float()) + sa.literal_column("0e0")
    return sa.cast(column, sa.CHAR())


def bound(value: Any, form: str) -> Any:
    """Return what is bound to write a line's *value* into a column of that *form*."""
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    if value is None or form == "text":
        return value
    return bytes.fromhex(value) if form == "hex" else float(value)


def as_it_is(value: Any) -> Any:
    """Return *value* as an expression to which no driver adds a type: the server reads it as its column's."""
    return None if value is None else sa.literal(value, sa.types.NullType())


def _form(database: Database, column: Any) -> str:
    """Return how MariaDB and MySQL write it: as ``text``, ``hex`` or a ``number``."""
    if database.kind != "mysql":
        return "text"
    if isinstance(column.type, sa.types._Binary):
        return "hex"
    return "number" if type(column.type).__name__ in ("FLOAT", "BIT") else "text"


def _selected(database: Database, table: Any) -> list[Any]:
    values = [as_text(database, column) for column in table.c]
    if database.kind == "mysql":
        return [sa.func.json_array(sa.literal(table.fullname), *values, type_=sa.types.NullType())]
    return values


def _returns_deleted(connection: Any) -> bool:
    dialect = connection.dialect
    version = dialect.server_version_info or ()
    if dialect.name == "sqlite" and version < (3, 35):
        return False
    return bool(getattr(dialect, "delete_returning", False))


def _hand_on(database: Database, table: Any, rows: Iterable[Any], receive: Receive) -> int:
    count = 0
    lines: list[str] = []
    for line in _lines(database, table, rows):
        count += 1
        lines.append(line)
        if len(lines) == _AT_ONCE:
            receive(("\n".join(lines) + "\n").encode())
            lines.clear()
    if lines:
        receive(("\n".join(lines) + "\n").encode())
    return count


def _lines(database: Database, table: Any, rows: Iterable[Any]) -> Iterator[str]:
    if database.kind == "sqlite":
        encode = json.JSONEncoder(ensure_ascii=False, default=lambda value: {"hex": bytes(value).hex()}).encode
        for row in rows:
            yield encode([table.fullname, *row])
        return
    for (line,) in rows:
        if line is None:
            raise ArchiveError(
                f"A row of {table.fullname} is too large to be archived: "
                "its text is longer than the server's max_allowed_packet. Raise that, or leave the archive out."
            )
        yield line if isinstance(line, str) else line.decode()
