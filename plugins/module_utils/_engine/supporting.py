# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making the indexes that the rules of a profile need, without keeping others from the table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from .database import Database
from .errors import DatabaseError, UsageError
from .holders import maintaining_sessions
from .indexes import Index, list_indexes
from .libraries import sa
from .needs import Need, find_needs
from .reclaim_plan import execute
from .records import RecordTable
from .unfinished import clearing_up, drop_index, quoted


@dataclass(frozen=True)
class SupportingIndex:
    """An index that rules need: the one that is there, or that was made, or in check mode would be."""

    name: str
    table: str
    columns: tuple[str | None, ...]
    where: str
    created: bool


@dataclass
class SupportResult:
    table: str
    indexes: list[SupportingIndex]
    before: dict[str, Sequence[Index]]  #: the indexes of each table
    check: bool

    @property
    def changed(self) -> bool:
        return any(index.created for index in self.indexes)


def support(database: Database, record: RecordTable, *, check: bool = False) -> SupportResult:
    """Make the indexes that *record*'s profile needs and no index of the tables serves yet.

    :raises UsageError: where another index has the name of one to make
    """
    result = SupportResult(record.name, [], {}, check)
    missing: list[Need] = []
    for need in find_needs(database, record):
        name = need.table.fullname
        if name not in result.before:
            result.before[name] = _indexes(database, need.table)
        there = result.before[name]
        serving = next((index for index in there if need.served_by(index)), None)
        if serving is not None:
            result.indexes.append(SupportingIndex(serving.name, name, serving.columns, serving.where, False))
            continue
        _refuse_namesakes(database, need, there)
        missing.append(need)
        where = "" if need.where is None else database.literal(need.where)
        result.indexes.append(SupportingIndex(need.name, name, need.column_names, where, True))
    for number, need in enumerate([] if check else missing):
        try:
            _make(database, need, result.before[need.table.fullname])
        except DatabaseError as error:
            error.changed = error.changed or number > 0
            raise
    return result


def _refuse_namesakes(database: Database, need: Need, there: Sequence[Index]) -> None:
    for index in there:
        if index.name != need.name:
            continue
        if index.valid:
            columns = ", ".join(column or "…" for column in index.columns)
            raise UsageError(
                f"{need.table.fullname} has an index {index.name} on other columns or rows than the rules need: "
                f"({columns}). Rename or drop it."
            )
        busy = maintaining_sessions(database, need.table)
        if busy:
            raise DatabaseError(f"Session {busy[0]} may be building {need.name} just now. Run this again after it.")


def _make(database: Database, need: Need, there: Sequence[Index]) -> None:
    for index in there:
        if index.name == need.name:
            drop_index(database, need.table, index)  # it was left unfinished
    if database.kind == "mysql":
        columns = ", ".join(quoted(database, column, None) for column in need.column_names)
        statement = "CREATE INDEX %(index)s ON %(fullname)s (%(columns)s) ALGORITHM=INPLACE LOCK=NONE"
        execute(database, need.table, statement, {"index": quoted(database, need.name, None), "columns": columns})
        return
    options: dict[str, Any] = {"postgresql_concurrently": True, "postgresql_where": need.where}
    creation = sa.schema.CreateIndex(sa.Index(need.name, *need.columns, **options))
    with clearing_up(database, need.table) if database.kind == "postgresql" else nullcontext():
        database.outside_transaction(creation)


def _indexes(database: Database, table: Any) -> list[Index]:
    with database.transaction() as connection:
        found = list_indexes(connection, table.name, table.schema)
    key = tuple(column.name for column in table.primary_key.columns)
    return [*found, *([Index("the primary key", key)] if key and database.kind != "postgresql" else [])]
