# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What PostgreSQL leaves when an index that is built beside its readers and writers does not come to its end.

Such an index serves nobody, is written by everybody, and a second try under its name fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .database import Database
from .errors import CleanupError, DatabaseError
from .indexes import Index, list_indexes
from .libraries import sa
from .reclaim_plan import execute
from .sizes import qualified


def unfinished_indexes(database: Database, table: Any) -> list[Index]:
    """Return the indexes of *table* that serve nobody. One of them may be in the making just now."""
    with database.transaction() as connection:
        indexes = list_indexes(connection, table.name, table.schema)
    return [index for index in indexes if not index.valid]


def is_of_a_rebuild(index: Index) -> bool:
    """Whether REINDEX CONCURRENTLY has made *index*, and not somebody who may still want it."""
    # https://www.postgresql.org/docs/current/sql-reindex.html#SQL-REINDEX-CONCURRENTLY
    return re.search(r"_cc(new|old)\d*$", index.name) is not None


def drop_index(database: Database, table: Any, index: Index) -> str:
    """Drop *index* of *table* without keeping others from the table."""
    name = {"index": quoted(database, index.name, index.schema)}
    return execute(database, table, "DROP INDEX CONCURRENTLY %(index)s", name)


@contextmanager
def clearing_up(database: Database, table: Any) -> Iterator[None]:
    """Drop what a build in this block leaves, where it does not come to its end.

    Who kept the build from its end may keep it from being dropped too; then the error says so.
    """
    before = {index.name for index in unfinished_indexes(database, table)}
    try:
        yield
    except DatabaseError as error:
        left: list[Index] = []
        try:
            left = [index for index in unfinished_indexes(database, table) if index.name not in before]
            while left:
                drop_index(database, table, left[-1])
                left.pop()
        except CleanupError:
            pass  # what went wrong first is what matters
        if not left:
            raise
        names = ", ".join(index.name for index in left)
        told = type(error)(f"{error} {names} is left unfinished; the next run drops it.")
        told.changed = True
        raise told from None


def quoted(database: Database, name: str, schema: str | None) -> str:
    """Return the name of an index as SQL, as :func:`execute` takes it."""
    return qualified(database, sa.table(name, schema=schema))
