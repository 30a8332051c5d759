# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking the record tables over: rights, indexes, foreign keys, room for more rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .database import Database
from .errors import CleanupError, MissingRightError
from .findings import Finding, error, warning
from .libraries import sa
from .policy import TablePolicy
from .records import RecordTable
from .references import find_references
from .rules import PurgeRule
from .sizes import regclass

_NEARLY_FULL = 80  # percent of the numbers that an id column holds
_LARGEST = {"SMALLINT": 2**15 - 1, "INTEGER": 2**31 - 1, "BIGINT": 2**63 - 1}


def examine_table(database: Database, table: TablePolicy) -> Iterator[Finding]:
    """Yield what is wrong with a record table that is there."""
    try:
        record = RecordTable(database, table.profile)
    except CleanupError as problem:
        yield error("column_missing", str(problem), "Name the table's columns in cleanup_tables, or leave it out.")
        return
    yield from _rights(database, record)
    yield from _indexes(record, table.effective_purge_rules)
    yield from _foreign_keys(database, record)
    yield from _identifiers(database, record)


def _rights(database: Database, record: RecordTable) -> Iterator[Finding]:
    missing = list(_ASKS[database.kind](database, record))
    if missing:
        yield error(
            "rights_missing",
            f"The user {database.user} may not {', '.join(missing)} on {record.name}.",
            f"GRANT {', '.join(missing)} ON {record.name} TO {database.user}, or use another user.",
        )


def _postgresql_rights(database: Database, record: RecordTable) -> Iterator[str]:
    relation = regclass(database, record.table)
    for right in ("SELECT", "UPDATE", "DELETE"):
        if not database.value(sa.select(sa.func.has_table_privilege(relation, right))):
            yield right


def _mysql_rights(database: Database, record: RecordTable) -> Iterator[str]:
    """Yield the rights that are missing. The server has them from many places, so it is asked to explain statements."""
    column, nothing = record.column("status"), sa.false()
    statements = {
        "SELECT": sa.select(column).where(nothing),
        "UPDATE": sa.update(record.table).values({column: column}).where(nothing),
        "DELETE": sa.delete(record.table).where(nothing),
    }
    for right, statement in statements.items():
        try:
            with database.transaction() as connection:
                # EXPLAIN changes nothing, yet a transaction that only reads may not ask for it.
                connection.exec_driver_sql("SET TRANSACTION READ WRITE")
                connection.exec_driver_sql(f"EXPLAIN {statement.compile(dialect=database.dialect)}")
        except MissingRightError:
            yield right


_ASKS: dict[str, Callable[[Database, RecordTable], Iterable[str]]] = {
    "postgresql": _postgresql_rights,
    "mysql": _mysql_rights,
    "sqlite": lambda _database, _record: (),  # who may write the file may do everything
}


def _indexes(record: RecordTable, rules: Sequence[PurgeRule]) -> Iterator[Finding]:
    # Only the first decides: where it is never empty, the others are not looked at.
    for column in record.age_columns[:1]:
        if any(rule.older_than for rule in rules) and not record.leads_index(column):
            yield warning(
                "index_missing",
                f"No index of {record.name} begins with {column.name}, so a purge by age reads the whole table.",
                f"Create an index on {record.name} ({column.name}), as fleetops.celery.results_index does.",
            )


def _foreign_keys(database: Database, record: RecordTable) -> Iterator[Finding]:
    known = {child.table for child in record.profile.children}
    for reference in find_references(database, [record.name]):
        if reference.table in known and reference.indexed:
            continue
        table, columns = reference.table, ", ".join(reference.columns)
        if table not in known and not reference.gives_way:
            yield warning(
                "referenced",
                f"Rows of {table} ({columns}) point at {record.name}: rows that they point at cannot be deleted.",
                f"Delete rows of {table} first, let its foreign key cascade, or set referenced to skip.",
            )
        if not reference.indexed:
            yield warning(
                "reference_without_index",
                f"The foreign key {table} ({columns}) onto {record.name} has no index: each deleted row reads the "
                f"whole of {table}.",
                f"Create an index on {table} ({columns}).",
            )


def _identifiers(database: Database, record: RecordTable) -> Iterator[Finding]:
    for key in record.primary_key[:1]:
        largest = _largest(database, key.type)
        if largest is None or len(record.primary_key) != 1:
            return
        last: Any = database.value(sa.select(sa.func.max(key)))
        if last and 100 * last > _NEARLY_FULL * largest:
            yield warning(
                "id_nearly_used_up",
                f"The ids of {record.name} have reached {last:,} of {largest:,}: no row can be stored after that.",
                f"Change {record.name}.{key.name} to BIGINT.",
            )


def _largest(database: Database, kind: Any) -> int | None:
    """Return the largest number that a column of type *kind* holds; ``None`` where it holds no numbers."""
    largest = _LARGEST.get(str(kind).upper().partition("(")[0].partition(" ")[0])
    if largest is None:
        return None
    if database.kind == "sqlite":
        return _LARGEST["BIGINT"]  # whatever the type is called
    return 2 * largest + 1 if getattr(kind, "unsigned", False) else largest
