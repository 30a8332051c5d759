# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many bytes a table takes."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from .database import Database
from .errors import DatabaseError
from .libraries import sa

_PARTITION_TREE = (12,)  # the first version that lists a table's partitions
_FLUSHING = (15,)  # the first version that can be told to
_FLUSHED_AFTER = 1.1  # seconds, for older ones


class Size(NamedTuple):
    """Bytes of a table and its indexes; ``dead_rows`` where the server counts them.

    ``estimates`` names the fields that were not measured exactly.
    """

    table_bytes: int
    index_bytes: int
    dead_rows: int | None = None
    estimates: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        return self.table_bytes + self.index_bytes


def size_document(size: Size) -> dict[str, Any]:
    """Return *size* as plain data."""
    return {
        "size_bytes": size.size_bytes,
        "table_bytes": size.table_bytes,
        "index_bytes": size.index_bytes,
        "dead_rows": size.dead_rows,
        "estimates": list(size.estimates),
    }


def table_size(database: Database, table: Any) -> Size:
    """Return the size of *table* (a reflected table), with its TOAST or overflow pages."""
    if database.kind == "postgresql":
        return _postgresql(database, table)
    if database.kind == "mysql":
        return _mysql(database, table)
    return _sqlite(database, table)


def estimate_rows(database: Database, table: Any) -> int | None:
    """Return how many rows the server's statistics say *table* has; ``None`` if they do not."""
    if database.kind == "postgresql":
        rows = database.value(
            sa.text(
                "SELECT greatest(pg_stat_get_live_tuples(oid), reltuples) "
                "FROM pg_catalog.pg_class WHERE oid = to_regclass(:name)"
            ).bindparams(name=qualified(database, table))
        )
        return int(rows) if rows and rows > 0 else None
    if database.kind == "mysql":
        return _mysql_statistics(database, table)[2]
    return None


def settle(database: Database) -> None:
    """Let PostgreSQL's counters learn what this session has just done; it tells them once a second on its own."""
    if database.kind != "postgresql":
        return
    if database.server_version() >= _FLUSHING:
        database.value(sa.select(sa.func.pg_stat_force_next_flush()))
    else:
        time.sleep(_FLUSHED_AFTER)
        database.value(sa.select(sa.literal(1)))  # a session tells at the end of a transaction


def regclass(database: Database, table: Any) -> Any:
    """Return the expression that names *table* to PostgreSQL's functions."""
    return sa.func.to_regclass(qualified(database, table))


def qualified(database: Database, table: Any) -> str:
    """Return *table*'s name, quoted, as a value that the drivers hand on as it is; for ``to_regclass`` and its like."""
    # A quoted name is meant for a statement, where the drivers want % doubled; here it is a value.
    return database.quote(table).replace("%%", "%")


def _postgresql(database: Database, table: Any) -> Size:
    counted = ("pg_table_size", "pg_indexes_size", "pg_stat_get_dead_tuples")
    table_bytes, index_bytes, dead = _sums(database, table, *counted)
    return Size(table_bytes, index_bytes, dead, ("dead_rows",))


def live_rows(database: Database, table: Any) -> int:
    """Return how many rows PostgreSQL's counters say *table* has; zero where they know nothing of it."""
    return _sums(database, table, "pg_stat_get_live_tuples")[0]


def _sums(database: Database, table: Any, *functions: str) -> list[int]:
    """Return the sums of PostgreSQL's *functions* over *table* and its partitions."""
    parts = "SELECT to_regclass(:name) AS part"
    if database.server_version() >= _PARTITION_TREE:
        # Nothing for a table without partitions.
        parts += " UNION SELECT relid FROM pg_partition_tree(to_regclass(:name))"
    sums = ", ".join(f"sum({name}(part))" for name in functions)
    statement = sa.text(f"SELECT {sums} FROM ({parts}) AS parts").bindparams(name=qualified(database, table))
    return [int(number or 0) for number in database.rows(statement)[0]]


def _mysql(database: Database, table: Any) -> Size:
    data, indexes, _rows, _free = _mysql_statistics(database, table)
    return Size(data, indexes, None, ("size_bytes", "table_bytes", "index_bytes"))


def mysql_free_bytes(database: Database, table: Any) -> int:
    """Return the bytes of *table*'s file that hold nothing, as InnoDB's statistics say."""
    return _mysql_statistics(database, table)[3]


def _mysql_statistics(database: Database, table: Any) -> tuple[int, int, int, int]:
    """Return bytes of data and of indexes, rows, and free bytes.

    They come from InnoDB's statistics; ANALYZE brings them up to date.
    """
    if not database.is_mariadb and database.server_version() >= (8,):
        with database.transaction() as connection:
            connection.execute(sa.text("SET SESSION information_schema_stats_expiry = 0"))
    rows = database.rows(
        sa.text(
            "SELECT data_length, index_length, table_rows, data_free "
            "FROM information_schema.tables "
            "WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :name"
        ).bindparams(schema=table.schema, name=table.name)
    )
    data, indexes, count, free = (int(value or 0) for value in (rows[0] if rows else (0, 0, 0, 0)))
    return data, indexes, count, free


def _sqlite(database: Database, table: Any) -> Size:
    try:
        rows = database.rows(
            sa.text(
                "SELECT m.type, SUM(s.pgsize) FROM dbstat AS s "
                "JOIN sqlite_master AS m ON m.name = s.name "
                "WHERE m.tbl_name = :name AND m.type IN ('table', 'index') GROUP BY m.type"
            ).bindparams(name=table.name)
        )
    except DatabaseError:
        # This SQLite was built without dbstat: the whole file is all that can be told.
        pages = database.value(sa.text("PRAGMA page_count"))
        page_size = database.value(sa.text("PRAGMA page_size"))
        return Size(int(pages) * int(page_size), 0, None, ("size_bytes", "table_bytes"))
    sizes = {kind: int(size) for kind, size in rows}
    return Size(sizes.get("table", 0), sizes.get("index", 0))
