# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows as lines of an archive, streamed by PostgreSQL's COPY: they need no memory here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .libraries import sa

Receive = Callable[[bytes], None]

#: In CSV with these options, PostgreSQL writes a value as JSON does, but for control characters.
_AS_JSON = r"(FORMAT csv, FORCE_QUOTE *, ESCAPE E'\\', NULL 'null', ENCODING 'UTF8')"
_CONTROLS = bytes(range(1, 32))
_OTHER_CONTROLS = _CONTROLS.replace(b"\n", b"")
_ESCAPES = {code: json.dumps(chr(code))[1:-1].encode() for code in _CONTROLS}
#: PostgreSQL's settings under which a value's text says all of it, whatever the session's are.
EXACT_TEXT = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
}


def copy_deleted(connection: Any, table: Any, condition: Any, receive: Receive) -> int:
    """Delete the rows of *table* that meet *condition*, handing their lines to *receive*; return how many."""
    quote = connection.dialect.identifier_preparer.quote
    returning = f" RETURNING {', '.join(quote(column.name) for column in table.c)}"
    return _copy(connection, table, sa.delete(table).where(condition), returning, receive)


def copy_read(connection: Any, table: Any, condition: Any, receive: Receive) -> int:
    """Hand the lines of the rows that meet *condition* to *receive*; return how many."""
    return _copy(connection, table, sa.select(table).where(condition), "", receive)


def _copy(connection: Any, table: Any, statement: Any, ending: str, receive: Receive) -> int:
    rows = _CopiedRows(table, receive)

    def copy(cursor: Any, compiled: str, parameters: Any, _context: Any) -> bool:
        wrapped = f"COPY ({compiled}{ending}) TO STDOUT WITH {_AS_JSON}"
        if hasattr(cursor, "copy_expert"):  # psycopg2
            cursor.copy_expert(cursor.mogrify(wrapped, parameters), rows)
        else:
            with cursor.copy(wrapped, parameters) as copied:
                for row in copied:
                    rows.write(bytes(row))
        return True

    # SQLAlchemy compiles and binds as ever; only what the cursor is asked differs.
    sa.event.listen(connection.engine, "do_execute", copy)
    try:
        connection.execute(statement)
    finally:
        sa.event.remove(connection.engine, "do_execute", copy)
    return rows.finish()


class _CopiedRows:
    """Takes rows as COPY sends them, one at a time, and hands them on as lines of JSON.

    A driver calls ``write`` for each row: it has to be quick.
    """

    __slots__ = ("_append", "_begin", "_between", "_count", "_failure", "_lines", "_receive", "_rows", "_size")
    _MOST = 1 << 16

    def __init__(self, table: Any, receive: Receive) -> None:
        self._begin = b"[" + json.dumps(table.fullname, ensure_ascii=False).encode() + b","
        self._between = b"]\n" + self._begin
        self._lines = b""  #: those that are not handed on yet, and the beginning of the next
        self._receive = receive
        self._rows: list[bytes] = []
        self._append = self._rows.append
        self._size = 0
        self._count = 0
        self._failure: Exception | None = None

    def write(self, row: bytes) -> None:
        self._append(row)
        self._size += len(row)
        if self._size > self._MOST:
            self._flush()

    def finish(self) -> int:
        """Hand on the rest; return how many rows there were."""
        self._flush()
        if self._failure is not None:
            raise self._failure
        if self._count:
            self._receive(self._lines[: -len(self._begin)])
        return self._count

    def _flush(self) -> None:
        # An exception from here would leave the connection in the midst of COPY: the rest is read, and let fall.
        if self._rows and self._failure is None:
            try:
                if self._count:
                    self._receive(self._lines)
            except Exception as error:
                self._failure = error
            lines = self._as_lines(self._rows)
            self._lines = lines if self._count else self._begin + lines
            self._count += len(self._rows)
        self._rows.clear()
        self._size = 0

    def _as_lines(self, rows: list[bytes]) -> bytes:
        text = b"".join(rows)
        lines = text.replace(b"\n", self._between)
        # Each row ends with a newline. Where values have no more of them, nor other control characters, that is all.
        newlines = (len(lines) - len(text)) // (len(self._between) - 1)
        if newlines != len(rows) or any(code in text for code in _OTHER_CONTROLS):
            lines = self._between.join([*(_escaped(row[:-1]) for row in rows), b""])
        return lines


def _escaped(row: bytes) -> bytes:
    for code in set(row).intersection(_CONTROLS):
        row = row.replace(bytes([code]), _ESCAPES[code])
    return row
