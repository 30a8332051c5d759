# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The indexes that the rules of a profile need."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .database import Database
from .indexes import Index
from .predicates import Facts
from .records import RecordTable, reflect
from .rules import ZombieRule
from .statuses import Statuses

_LONGEST_NAME = 63  # characters, in PostgreSQL; the others take more


@dataclass(frozen=True)
class Need:
    """An index of ``table`` along ``columns`` that rules need; with ``where`` of only these rows.

    An index of the whole table that begins with one of ``leading`` does as well. So does one of a part of it where
    ``facts``, which are true of each row that the rule takes, imply that it is in that part.
    """

    name: str
    table: Any
    columns: tuple[Any, ...]
    leading: frozenset[str]
    where: Any = None
    facts: Facts | None = None

    def served_by(self, index: Index) -> bool:
        if index.complete:
            return index.columns[0] in self.leading
        if not index.valid or self.facts is None:
            return False
        return index.columns[0] in {*self.leading, *self.column_names} and self.facts.imply(index.where)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def find_needs(database: Database, record: RecordTable) -> Iterator[Need]:
    """Yield what the rules of *record*'s profile need, for its table and for those purged with it.

    Tables with a row for each worker need none.
    """
    profile = record.profile
    if any(rule.older_than for rule in profile.purge_rules):
        yield from _for_age(record)
        for child in profile.children:
            table = reflect(database, child.table)
            if table is not None and child.column in table.c:
                yield _along(table.c[child.column])
        for follower in profile.followers:
            table = reflect(database, follower.table)
            if table is not None:
                yield from _for_age(RecordTable(database, follower, table))
    if record.find("status") is not None:
        statuses = Statuses(database, record)
        for rule in profile.zombie_rules:
            yield from _for_zombies(database, record, statuses, rule)


def _for_age(record: RecordTable) -> Iterator[Need]:
    """Yield what a walk from the oldest row needs: each date that may have to tell a row's age."""
    for column in record.age_columns:
        yield _along(column)
        if not column.nullable:
            return


def _for_zombies(database: Database, record: RecordTable, statuses: Statuses, rule: ZombieRule) -> Iterator[Need]:
    """Yield what finds the few unfinished rows among the many finished ones."""
    words = ("created",) if rule.since == "created" else (record.profile.touched or "started", "created")
    found = [column for word in words if (column := record.find(word)) is not None]
    if not found:
        return
    status, since = record.column("status"), found[0]
    # As the selection has it: a session that has its end is closed.
    empty = frozenset([record.column("finished").name] if record.profile.flags else [])
    leading = frozenset([status.name]) | empty
    name = _name(record.table.name, rule.name)
    if database.kind != "postgresql":
        yield Need(name, record.table, (status, since), leading)
        return
    values = [statuses.spelling(one) for one in rule.statuses]
    literals = frozenset(_literal(value) for value in values)
    yield Need(name, record.table, (since,), leading, status.in_(values), Facts(status.name, literals, empty))


def _literal(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "'" + str(value).replace("'", "''") + "'"


def _along(column: Any) -> Need:
    return Need(_name(column.table.name, column.name), column.table, (column,), frozenset([column.name]))


def _name(table: str, subject: str) -> str:
    """Return the name as SQLAlchemy, and so Celery, makes it: ``ix_celery_taskmeta_date_done``."""
    name = f"ix_{table}_{re.sub(r'[^0-9A-Za-z]+', '_', subject)}"
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + f"_{digest}"
