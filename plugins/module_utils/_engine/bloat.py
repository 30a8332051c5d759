# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of PostgreSQL's tables and B-tree indexes is empty.

A table is measured by reading it, an index with ``pgstatindex`` where the extension pgstattuple is
installed and may be used; else it is estimated from the planner's statistics. The estimate errs
towards too little: an index that has just been rebuilt must not be taken for a bloated one, for
then it would be rebuilt in each run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from .database import Database
from .libraries import sa
from .sizes import qualified, regclass

#: Less than this is left alone, as an index and as a gain.
WORTH_BYTES = 1024 * 1024
#: Percent. Entries in no order leave up to a third of a B-tree empty by the way in which its pages split.
NORMALLY_EMPTY = 40

_BLOCK = 8192  # bytes of a page, unless somebody has built a PostgreSQL of his own
_HEADER = 24  # bytes of a page's header
_POINTER = 4  # bytes of the pointer to a row or entry of a page
_PAGE = _BLOCK - _HEADER - 16  # bytes of an index's page without its header and its links
_ENTRY = 8 + _POINTER  # bytes of an entry's header and of its pointer
_NULLS = 8  # bytes of the bitmap of an entry with NULL
_FILLED = 0.9  # share of a page that a build fills, unless the index says otherwise
_ROW_POINTER = 6  # bytes
_POSTING_LIST = 812  # bytes of the longest entry for several rows that a build makes
#: From so many rows for each value, what the statistics say about the number of values may be wrong by half an order.
_FEW_VALUES = 50
#: Equal values of these types may look different, so each of their rows keeps an entry of its own.
_LOOK_DIFFERENT = ("numeric", "float4", "float8", "jsonb")


@dataclass(frozen=True)
class IndexSpace:
    """The bytes of an index, and how many its entries would take if it were built anew."""

    name: str
    schema: str
    size_bytes: int
    needed_bytes: int
    estimate: bool

    @property
    def free_percent(self) -> float:
        return max(0.0, 100 * (1 - self.needed_bytes / self.size_bytes))

    def bloated(self, least: float) -> bool:
        """Whether a rebuild pays, where *least* percent are not worth it."""
        gain = self.size_bytes - self.needed_bytes
        return gain >= WORTH_BYTES and self.free_percent >= max(least, NORMALLY_EMPTY)


@dataclass(frozen=True)
class _Entries:
    """How many rows an index will be built for, and what share of its entries is dead today."""

    rows: int
    dead_share: float


def table_free_percent(database: Database, table: Any, expected: int = 0) -> float:
    """Return the share of *table*'s pages that its rows do not need, measured by reading them.

    :param expected: how many of the rows a purge will delete
    """
    stored = sa.select(sa.func.count(), sa.func.sum(sa.func.pg_column_size(sa.literal_column("r")))).select_from(
        table.alias("r")
    )
    rows, row_bytes = database.rows(stored)[0]
    heap = int(database.value(sa.select(sa.func.pg_relation_size(regclass(database, table)))) or 0)
    needed = (int(row_bytes or 0) + rows * _POINTER) * _BLOCK / (_BLOCK - _HEADER)
    return max(0.0, 100 * (1 - needed * max(rows - expected, 0) / max(rows, 1) / heap)) if heap else 0.0


def index_space(database: Database, table: Any, dead: int, expected: int) -> list[IndexSpace]:
    """Judge the indexes of *table* that are large enough.

    Partial indexes and those of expressions are judged only where they can be measured.

    :param dead: how many rows are dead
    :param expected: how many more a purge will leave dead
    """
    indexes = [list(rows) for _name, rows in groupby(_columns(database, table), lambda row: row.name)]
    if not indexes:
        return []
    counted = int(database.value(sa.select(sa.func.count()).select_from(table)))
    rows = max(counted - expected, 0)
    entries = _Entries(rows, (dead + expected) / max(dead + counted, 1))
    return list(_judge(database, table, indexes, entries))


def _judge(database: Database, table: Any, indexes: list[list[Any]], entries: _Entries) -> Iterator[IndexSpace]:
    measure = _pgstatindex(database)
    for columns in indexes:
        first = columns[0]
        filled = int(first.fillfactor) / 100 if first.fillfactor else _FILLED
        if measure is not None:
            needed = _measured(database, measure, first, entries, filled)
        elif first.partial or any(column.attname is None for column in columns):
            continue
        else:
            needed = _estimated(database, table, columns, entries, filled)
        yield IndexSpace(first.name, first.schema, int(first.bytes), needed, measure is None)


def _columns(database: Database, table: Any) -> Sequence[Any]:
    """Return a row for each column of each valid B-tree that is large enough."""
    return database.rows(
        sa.text(
            "SELECT c.relname AS name, n.nspname AS schema, c.oid, pg_relation_size(c.oid) AS bytes, "
            "substring(array_to_string(c.reloptions, ',') FROM 'fillfactor=([0-9]+)') AS fillfactor, "
            "coalesce(array_to_string(c.reloptions, ',') NOT LIKE '%deduplicate_items=off%', true) "
            "AND NOT i.indisunique AND i.indnkeyatts = i.indnatts AS shares, "
            "i.indpred IS NOT NULL AS partial, t.attname, y.typname, a.attlen, "
            "s.avg_width, s.null_frac, s.n_distinct "
            "FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid "
            "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
            "JOIN pg_catalog.pg_am AS m ON m.oid = c.relam AND m.amname = 'btree' "
            "JOIN pg_catalog.pg_class AS r ON r.oid = i.indrelid "
            "JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid "
            "JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid "
            "LEFT JOIN pg_catalog.pg_attribute AS t ON t.attrelid = i.indrelid AND t.attnum = i.indkey[a.attnum - 1] "
            "AND t.attnum > 0 "
            "LEFT JOIN pg_catalog.pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = r.relname "
            "AND s.attname = t.attname AND NOT s.inherited "
            "WHERE i.indrelid = to_regclass(:table) AND i.indisvalid AND NOT i.indisexclusion AND c.relkind = 'i' "
            "AND pg_relation_size(c.oid) >= :least ORDER BY c.relname, a.attnum"
        ).bindparams(table=qualified(database, table), least=WORTH_BYTES)
    )


def _pgstatindex(database: Database) -> Any:
    """Return the function that measures an index; ``None`` where it is missing or not for this user."""
    schema = database.value(
        sa.text(
            "SELECT n.nspname FROM pg_catalog.pg_extension AS e "
            "JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace "
            "JOIN pg_catalog.pg_proc AS p ON p.pronamespace = n.oid AND p.proname = 'pgstatindex' "
            "WHERE e.extname = 'pgstattuple' AND p.proargtypes[0] = CAST('regclass' AS regtype) "
            "AND has_function_privilege(p.oid, 'EXECUTE') AND has_schema_privilege(n.oid, 'USAGE')"
        )
    )
    return None if schema is None else getattr(sa.func, schema).pgstatindex


def _measured(database: Database, measure: Any, index: Any, entries: _Entries, filled: float) -> int:
    found = measure(regclass(database, sa.table(index.name, schema=index.schema))).table_valued(
        "leaf_pages", "avg_leaf_density"
    )
    leaves, density = database.rows(sa.select(*found.c))[0]
    # An index without entries has no density.
    share = 0.0 if math.isnan(density) else density / 100
    return _bytes_of_pages(leaves * share / filled * (1 - entries.dead_share))


def _estimated(database: Database, table: Any, columns: list[Any], entries: _Entries, filled: float) -> int:
    width, nulls, values = 0, False, 1.0
    for column in columns:
        known = column if column.avg_width is not None else _read(database, table.c[column.attname])
        width += _aligned(column.attlen if column.attlen > 0 else known.avg_width)
        nulls = nulls or known.null_frac > 0
        # Below zero it is a share of the rows.
        values *= max(known.n_distinct if known.n_distinct >= 0 else -known.n_distinct * entries.rows, 1) + nulls
    entry = _ENTRY + width + (_NULLS if nulls else 0)
    shared = columns[0].shares and not any(column.typname in _LOOK_DIFFERENT for column in columns)
    if shared and database.server_version() >= (13,) and entries.rows >= _FEW_VALUES * values:
        pointers = entries.rows * _ROW_POINTER
        lists = max(values, pointers / max(_POSTING_LIST - entry, 1))
        content = pointers + lists * entry
    else:
        content = float(entries.rows * entry)
    return _bytes_of_pages(content / (_PAGE * filled))


@dataclass(frozen=True)
class _Read:
    avg_width: int
    null_frac: float
    n_distinct: float


def _read(database: Database, column: Any) -> _Read:
    """Read what ANALYZE would have found out about *column*, had it ever run."""
    rows, filled, values, width = database.rows(
        sa.select(
            sa.func.count(),
            sa.func.count(column),
            sa.func.count(column.distinct()),
            sa.func.avg(sa.func.pg_column_size(column)),
        )
    )[0]
    return _Read(math.ceil(width or 0), 1 - filled / max(rows, 1), float(values))


def _aligned(width: int) -> int:
    return -(-width // 8) * 8


def _bytes_of_pages(leaves: float) -> int:
    """Return the bytes of an index with so many leaves, its first page, and one page above about a hundred of them."""
    whole = math.ceil(leaves)
    return (whole + math.ceil(whole / 100) + 1) * _BLOCK
