# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record table as it is in the database: reflected, with its columns under the engine's words."""

from __future__ import annotations

import warnings
from typing import Any

from .columns import list_columns
from .database import Database
from .errors import DatabaseError, UsageError
from .indexes import list_indexes
from .libraries import sa
from .profiles import PROFILES, Profile
from .sizes import qualified


class RecordTable:
    """A live table seen through a profile.

    :raises UsageError: when the table or a required column is missing; the text says what is there
    """

    def __init__(self, database: Database, profile: Profile, table: Any = None) -> None:
        """*table* is what :func:`reflect` returned, where that is known already."""
        self.profile = profile
        self.table = table if table is not None else reflect(database, profile.table)
        if self.table is None:
            raise UsageError(_missing_table(database, profile))
        self._columns = {word: self.table.c[name] for word, name in profile.columns.items() if name in self.table.c}
        for word in profile.required:
            self.column(word)

    @property
    def name(self) -> str:
        return self.profile.table

    def find(self, word: str) -> Any:
        """Return the column for *word*; ``None`` where the table has none."""
        return self._columns.get(word)

    def column(self, word: str) -> Any:
        """Return the column for *word*.

        :raises UsageError: when the table has none
        """
        column = self._columns.get(word)
        if column is None:
            name = self.profile.columns.get(word)
            known = f"the column {name}" if name else "a column"
            raise UsageError(
                f"Table {self.name} lacks {known} for {word!r}. "
                f"It has {', '.join(self.table.c.keys())}. "
                f"Name the right one in columns ({word}: …) or choose another profile."
            )
        return column

    @property
    def primary_key(self) -> tuple[Any, ...]:
        return tuple(self.table.primary_key.columns)

    @property
    def identity(self) -> Any:
        """The column that names a row to people: its task id, or its only primary key."""
        named = self.find("task_id")
        if named is not None:
            return named
        return self.primary_key[0] if self.primary_key else self.column("status")

    @property
    def parent_key(self) -> Any:
        """The column whose value the rows of child tables hold."""
        return self.primary_key[0] if self.primary_key else self.identity

    def leads_index(self, column: Any) -> bool:
        """Whether an index of the whole table begins with *column*, so that the server can walk along it."""
        leading = [tuple(self.table.primary_key.columns)] + [tuple(index.columns) for index in self.table.indexes]
        return any(columns and columns[0] is column for columns in leading)

    @property
    def age_columns(self) -> tuple[Any, ...]:
        """The columns that tell a record's age, best first: when it ended, else when it began."""
        found = [self.find("finished"), self.find("created")]
        return tuple(column for column in found if column is not None)

    @property
    def dates(self) -> tuple[Any, ...]:
        found = [self.find(word) for word in ("created", "started", "finished")]
        return tuple(dict.fromkeys(column for column in found if column is not None))


def reflect(database: Database, name: str) -> Any:
    """Return the table called *name* (``table`` or ``schema.table``); ``None`` if there is none.

    It knows its columns, its primary key and its complete indexes. SQLAlchemy's own ``autoload_with`` would ask for all
    that a table has, which takes several times as long.
    """
    schema, _dot, bare = name.rpartition(".")
    with warnings.catch_warnings():
        # Types and indexes that SQLAlchemy does not know are of no concern here.
        warnings.simplefilter("ignore")
        with database.transaction() as connection:
            columns, key = list_columns(connection, bare, schema or None)
            if not columns:
                return None
            indexes = list_indexes(connection, bare, schema or None)
    table = sa.Table(bare, sa.MetaData(), *columns, sa.PrimaryKeyConstraint(*key), schema=schema or None)
    for index in indexes:
        along = [table.c[column] for column in index.columns if column is not None]
        if index.complete and len(along) == len(index.columns):
            sa.Index(index.name, *along)
    return table


def known_table(database: Database, name: str, *columns: str) -> Any:
    """Return the table called *name*, whose *columns* are known; ``None`` if there is none.

    One question to the server, where :func:`reflect` asks more.
    """
    schema, _dot, bare = name.rpartition(".")
    table = sa.table(bare, *(sa.column(column) for column in columns), schema=schema or None)
    if database.kind == "postgresql":
        there = database.value(
            sa.text("SELECT to_regclass(:name) IS NOT NULL").bindparams(name=qualified(database, table))
        )
        return table if there else None
    with database.transaction() as connection:
        return table if sa.inspect(connection).has_table(bare, schema=schema or None) else None


def find_profiles(database: Database) -> list[str]:
    """Return the names of the profiles whose table exists."""
    present = set(database.inspector().get_table_names())
    return [profile.name for profile in PROFILES.values() if profile.table in present]


def _missing_table(database: Database, profile: Profile) -> str:
    schema, _dot, _bare = profile.table.rpartition(".")
    try:
        there = sorted(database.inspector().get_table_names(schema=schema or None))
    except DatabaseError:
        there = []
    shown = ", ".join(there[:20]) + (", …" if len(there) > 20 else "")
    matching = [one.name for one in PROFILES.values() if one.table in there]
    hint = f" Profiles whose table is there: {', '.join(matching)}." if matching else ""
    return (
        f"{database.name} has no table {profile.table} (profile {profile.name}). "
        f"Tables that are there: {shown or 'none'}.{hint}"
    )
