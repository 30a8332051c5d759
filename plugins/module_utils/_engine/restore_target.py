# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table that rows are put back into."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from .archive_manifest import ArchivedTable, Values
from .archive_rows import as_it_is, as_text, bound, matching, type_words
from .columns import written_names
from .database import Database
from .errors import (
    ConnectionLostError,
    DatabaseError,
    LockTimeoutError,
    MissingRightError,
    StatementTimeoutError,
    UsageError,
)
from .libraries import sa
from .sizes import qualified

#: Celery's database backend takes these numbers from a sequence of its own, which no column names.
_SEQUENCES = {"celery_taskmeta": "task_id_sequence", "celery_tasksetmeta": "taskset_id_sequence"}
#: Types between which it matters for what does not fit, by how their names begin.
_FAMILIES = {
    "moment": r"DATE|TIME",
    "uuid": r"UUID",
    "boolean": r"BOOL",
    "number": r"(TINY|SMALL|MEDIUM|BIG)?INT(EGER)?\b|NUMERIC|DECIMAL|FLOAT|REAL|DOUBLE",
}


class ChangedType(NamedTuple):
    """A column whose type is another than when its rows were archived."""

    name: str
    was: str
    now: str
    nullable: bool

    @property
    def fits_no_row(self) -> bool:
        """Whether no value fits: a number may be a date or a flag, and text anything, but no date is a number."""
        was, now = _family(self.was), _family(self.now)
        return not self.nullable and was in ("moment", "uuid") and now not in (was, None)

    def describe(self) -> str:
        return f"{self.name} was {self.was} and is {self.now}"


@dataclass
class Compared:
    """Rows of an archive beside those of the table."""

    missing: list[Values]
    #: those whose primary key is another row's, or no row's as they are there under another
    displaced: list[Values]
    #: how many are not there, though another row has one of their keys
    conflicts: int


class Target:
    """The live table called *name*, its keys, and the rows of this run.

    :raises UsageError: when there is none
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self.name = name
        self._schema, _dot, self._bare = name.rpartition(".")
        where = {"table_name": self._bare, "schema": self._schema or None}
        with database.transaction() as connection:
            inspector = sa.inspect(connection)
            if not inspector.has_table(**where):
                raise UsageError(f"{database.name} has no table {name}. Nothing was restored.")
            self._described = inspector.get_columns(**where)
            self._written = set(written_names(self._described))
            primary = tuple(inspector.get_pk_constraint(**where)["constrained_columns"])
            unique = [tuple(one["column_names"]) for one in inspector.get_unique_constraints(**where)]
            # Of the constraints that SQLite keeps as text, SQLAlchemy does not understand all; it knows their indexes.
            more = {"include_auto_indexes": True} if database.kind == "sqlite" else {}
            unique += [
                tuple(index["column_names"])
                for index in inspector.get_indexes(**where, **more)
                # A partial index or one of an expression says nothing of its columns' values.
                if index["unique"] and None not in index["column_names"] and not _partial(index)
            ]
        self._key = primary
        self._keys = list(dict.fromkeys([*([primary] if primary else []), *unique]))
        if not self._keys:
            raise UsageError(f"Table {name} has no key by which a row that is there is known. Nothing was restored.")
        self._types = {column["name"]: column["type"] for column in self._described}
        self._seen: dict[tuple[str, ...], dict[tuple[Any, ...], tuple[Any, ...]]] = {key: {} for key in self._keys}

    def see_that_it_fits(self, archived: ArchivedTable, path: Path) -> None:
        """:raises UsageError: when the table's columns are not those of *archived*"""
        names = {column["name"] for column in archived.columns}
        there = {column["name"] for column in self._described}
        needed = {
            column["name"]
            for column in self._described
            if not column["nullable"] and column.get("default") is None and not _generated(column)
        }
        wrong = []
        if names - there:
            wrong.append(f"it lacks {', '.join(sorted(names - there))}")
        if needed - names:
            wrong.append(f"it needs {', '.join(sorted(needed - names))}, which the archive lacks")
        missing_key = [key for key in self._keys if not names.issuperset(key)]
        if not wrong and missing_key:
            wrong.append(f"the archive lacks its key {', '.join(missing_key[0])}")
        if not wrong and self._database.kind != "sqlite":  # where any column takes any value
            wrong += [one.describe() for one in self._changes(archived) if one.fits_no_row]
        if wrong:
            raise UsageError(
                f"Rows of {path.name} do not fit into table {self.name}: {'; '.join(wrong)}. Nothing was restored."
            )

    def compare(self, archived: ArchivedTable, rows: Sequence[Values], *, remember: bool) -> Compared:
        """Look for *rows* in the table.

        :param remember: those that were missing before, which counts where nothing is inserted
        """
        # A task is known by its id, under whatever number it came again.
        names = [archived.words["task_id"]] if "task_id" in archived.words else archived.identity
        telling = archived.places(names)
        places = {key: archived.places(list(key)) for key in self._keys}
        forms = [column["form"] for column in archived.columns]
        there = {key: {**self._there(key, names, rows, places[key], forms), **self._seen[key]} for key in self._keys}
        compared = Compared([], [], 0)
        for row in rows:
            told = tuple(row[place] for place in telling)
            values = {key: tuple(row[place] for place in places[key]) for key in self._keys}
            holders = {key: there[key][value] for key, value in values.items() if value in there[key]}
            if holders:
                if holders.get(self._key) != told:
                    compared.displaced.append(row)
                compared.conflicts += told not in holders.values()
                continue
            for key, value in values.items():
                if None in value:
                    continue
                there[key][value] = told
                if remember:
                    self._seen[key][value] = told
            compared.missing.append(row)
        return compared

    def insert(self, archived: ArchivedTable, rows: Sequence[Values]) -> None:
        """Insert *rows* as they were, in one transaction."""
        places = [place for place, column in enumerate(archived.columns) if column["name"] in self._written]
        forms = {f"value_{place}": archived.columns[place]["form"] for place in places}
        documents = [
            {name: bound(row[place], form) for place, (name, form) in zip(places, forms.items())} for row in rows
        ]
        statement = self._insertion([archived.columns[place]["name"] for place in places], list(forms))
        advance = self._advance
        try:
            with self._database.transaction() as connection:
                connection.execute(statement, documents)
                if advance is not None:
                    # Before anybody sees the rows, and not after the last of all, which may never come.
                    connection.execute(advance)
        except (ConnectionLostError, LockTimeoutError, MissingRightError, StatementTimeoutError):
            raise
        except DatabaseError as error:
            changes = [change.describe() for change in self._changes(archived)]
            if not changes:
                raise
            # The server may not say which column it is.
            raise DatabaseError(
                f"{error} Since the rows were archived, {self.name} has changed: {'; '.join(changes)}."
            ) from None

    def _changes(self, archived: ArchivedTable) -> list[ChangedType]:
        """Return the columns that are written and have another type than *archived* had."""
        were = {column["name"]: column["type"] for column in archived.columns}
        return [
            ChangedType(name, were[name], kind, column["nullable"])
            for column in self._described
            if (name := column["name"]) in were
            and name in self._written
            and (kind := type_words(self._database, column["type"])) != were[name]
        ]

    def _insertion(self, names: list[str], values: list[str]) -> Any:
        """Return the statement that puts parameters called *values* into the columns called *names*."""
        # Without types, so that each value goes to the server as it is in the archive.
        table = sa.table(self._bare, *map(sa.column, names), schema=self._schema or None)
        if any((column.get("identity") or {}).get("always") for column in self._described):
            parameters = ", ".join(f":{value}" for value in values)
            own = sa.text(f"OVERRIDING SYSTEM VALUE VALUES ({parameters})").columns()
            return sa.insert(table).from_select(names, own)
        return sa.insert(table).values({name: sa.bindparam(value) for name, value in zip(names, values)})

    @cached_property
    def _advance(self) -> Any:
        """The statement after which PostgreSQL's next number does not collide with those that are there."""
        if self._database.kind != "postgresql" or len(self._key) != 1:
            return None
        table = self._table(list(self._key))
        (number,) = table.c
        name = qualified(self._database, table)
        sequence = self._database.value(sa.select(sa.func.pg_get_serial_sequence(name, number.name)))
        if sequence is None and self._bare in _SEQUENCES:
            sequence = self._database.quote(sa.table(_SEQUENCES[self._bare], schema=self._schema or None))
        if sequence is None:
            return None
        known = sa.func.to_regclass(sequence)
        highest = sa.func.max(number)
        last = sa.func.coalesce(sa.func.pg_sequence_last_value(known), 0)
        return sa.select(sa.func.setval(known, highest)).having(highest > last)

    def _there(
        self, key: tuple[str, ...], telling: list[str], rows: Sequence[Values], places: list[int], forms: list[str]
    ) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Return the values of *key* that rows of the table have, and of *telling*, as the archive would write them."""
        wanted = [[row[place] for place in places] for row in rows]
        values = [
            [as_it_is(bound(value, forms[place])) for value, place in zip(one, places)]
            for one in wanted
            if None not in one
        ]
        if not values:
            return {}
        columns = self._table(list(dict.fromkeys([*key, *telling]))).c
        look = sa.select(*(as_text(self._database, column) for column in columns))
        names = list(columns.keys())
        return {
            tuple(row[names.index(name)] for name in key): tuple(row[names.index(name)] for name in telling)
            for row in self._database.rows(look.where(matching([columns[name] for name in key], values)))
        }

    def _table(self, names: Sequence[str]) -> Any:
        columns = [sa.column(name, self._types[name]) for name in names]
        return sa.table(self._bare, *columns, schema=self._schema or None)


def _family(kind: str) -> str | None:
    return next((family for family, pattern in _FAMILIES.items() if re.match(pattern, kind)), None)


def _partial(index: Any) -> bool:
    return any(
        name.endswith("_where") and value is not None for name, value in index.get("dialect_options", {}).items()
    )


def _generated(column: Any) -> bool:
    """Whether the server makes the value of *column* where an INSERT gives none."""
    return bool(column.get("identity") or column.get("computed") or column.get("autoincrement") is True)
