# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Foreign keys that point at given tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .database import Database
from .libraries import sa
from .sizes import qualified

_CASCADES = {"CASCADE", "SET NULL", "SET DEFAULT"}


@dataclass(frozen=True)
class Reference:
    """A foreign key of ``table`` onto the table ``onto``."""

    name: str  #: the constraint's; empty on SQLite
    table: str
    schema: str | None  #: where it is not the one that is looked in anyway
    columns: tuple[str, ...]
    onto: str  #: as it was asked for
    targets: tuple[str, ...]  #: its columns, in the same order
    gives_way: bool  #: the server itself deletes or clears the rows that point
    indexed: bool  #: an index begins with ``columns``

    def __str__(self) -> str:
        constraint = f", constraint {self.name}" if self.name else ""
        return f"{self.table} ({', '.join(self.columns)}{constraint})"

    @property
    def selectable(self) -> Any:
        return sa.table(self.table, *(sa.column(name) for name in self.columns), schema=self.schema)

    def points_at(self, table: Any) -> Any:
        """Return the condition that a row of *table* is pointed at, which is ``onto``."""
        child = self.selectable.alias("pointing")
        pairs = zip(self.columns, self.targets)
        same = sa.and_(*(child.c[column] == table.c[target] for column, target in pairs))
        return sa.select(sa.literal(1)).select_from(child).where(same).correlate(table).exists()


def find_references(database: Database, tables: Sequence[str]) -> list[Reference]:
    """Return the foreign keys onto *tables*, which are all of one schema; those that are missing have none.

    Asked of the server's catalogue, of all tables at once: reflecting every table of an application takes seconds.
    """
    keys: dict[tuple[str, str, str], list[Any]] = {}
    for row in database.rows(_statement(database, tables)):
        keys.setdefault((row.child_schema or "", row.child, str(row.key)), []).append(row)
    return list(_references(database, {_bare(name).lower(): name for name in tables}, keys))


def _bare(name: str) -> str:
    return name.rpartition(".")[2]


def _references(
    database: Database, asked: dict[str, str], keys: dict[tuple[str, str, str], list[Any]]
) -> Iterator[Reference]:
    for (schema, table, key), rows in keys.items():
        columns = tuple(str(row.child_column) for row in rows)
        yield Reference(
            name="" if database.kind == "sqlite" else key,
            table=table,
            schema=schema or None,
            columns=columns,
            onto=asked[str(rows[0].onto).lower()],
            targets=tuple(str(row.target) for row in rows),
            # SQLite does so only for sessions that ask for it.
            gives_way=database.kind != "sqlite" and str(rows[0].rule).upper() in _CASCADES,
            indexed=_indexed(database, table, schema or None, columns),
        )


def _indexed(database: Database, table: str, schema: str | None, columns: tuple[str, ...]) -> bool:
    inspector = database.inspector()
    with database.translated():
        leading = [inspector.get_pk_constraint(table, schema=schema).get("constrained_columns") or []] + [
            index["column_names"] for index in inspector.get_indexes(table, schema=schema)
        ]
    return any(set(names[: len(columns)]) == set(columns) for names in leading)


def _statement(database: Database, tables: Sequence[str]) -> Any:
    schema = tables[0].rpartition(".")[0] or None
    bare = [_bare(name) for name in tables]
    if database.kind == "postgresql":
        names = {
            f"table_{place}": qualified(database, sa.table(name, schema=schema)) for place, name in enumerate(bare)
        }
        wanted = ", ".join(f"to_regclass(:{name})" for name in names)
        return sa.text(
            "SELECT c.conname AS key, o.relname AS onto, f.relname AS child, a.attname AS child_column, "
            "t.attname AS target, "
            "CASE WHEN pg_catalog.pg_table_is_visible(f.oid) THEN NULL ELSE n.nspname END AS child_schema, "
            "CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' "
            "ELSE 'NO ACTION' END AS rule "
            "FROM pg_catalog.pg_constraint AS c "
            "CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(child, target, place) "
            "JOIN pg_catalog.pg_class AS o ON o.oid = c.confrelid "
            "JOIN pg_catalog.pg_class AS f ON f.oid = c.conrelid "
            "JOIN pg_catalog.pg_namespace AS n ON n.oid = f.relnamespace "
            "JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.child "
            "JOIN pg_catalog.pg_attribute AS t ON t.attrelid = c.confrelid AND t.attnum = k.target "
            f"WHERE c.contype = 'f' AND c.confrelid IN ({wanted}) ORDER BY f.relname, c.conname, k.place"
        ).bindparams(**names)
    if database.kind == "mysql":
        return sa.text(
            "SELECT k.constraint_name AS `key`, k.referenced_table_name AS onto, k.table_name AS child, "
            "k.column_name AS child_column, k.referenced_column_name AS target, "
            "NULLIF(k.table_schema, DATABASE()) AS child_schema, r.delete_rule AS rule "
            "FROM information_schema.key_column_usage AS k "
            "JOIN information_schema.referential_constraints AS r "
            "ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name "
            "AND r.table_name = k.table_name "
            "WHERE k.referenced_table_schema = COALESCE(:schema, DATABASE()) AND k.referenced_table_name IN :tables "
            "ORDER BY k.table_name, k.constraint_name, k.ordinal_position"
        ).bindparams(sa.bindparam("tables", bare, expanding=True), schema=schema)
    # What a key points at is left out where that is the primary key, and may be spelt in another case.
    return sa.text(
        'SELECT k.id AS "key", k."table" AS onto, m.name AS child, k."from" AS child_column, t.name AS target, '
        "NULL AS child_schema, k.on_delete AS rule "
        'FROM sqlite_master AS m JOIN pragma_foreign_key_list(m.name) AS k JOIN pragma_table_info(k."table") AS t '
        'ON CASE WHEN k."to" IS NULL THEN t.pk = k.seq + 1 ELSE lower(t.name) = lower(k."to") END '
        "WHERE m.type = 'table' AND lower(k.\"table\") IN :tables ORDER BY m.name, k.id, k.seq"
    ).bindparams(sa.bindparam("tables", [name.lower() for name in bare], expanding=True))
