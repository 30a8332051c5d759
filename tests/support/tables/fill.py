# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many rows at once, made by the database itself: half a million take seconds, and none of them crosses the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import sqlalchemy as sa
from sqlalchemy.sql.expression import ColumnElement, FromClause

from ..servers import Database

Clock = Literal["utc", "session", "celery"]

# Celery's models take these numbers from a sequence themselves; the columns have no default in the database.
_SEQUENCES = {"celery_taskmeta": "task_id_sequence", "celery_tasksetmeta": "taskset_id_sequence"}


class Generated(Protocol):
    """A value that differs from row to row."""

    def expression(self, number: ColumnElement[int], count: int, context: _Context) -> ColumnElement[Any]:
        """The SQL of the value in row `number`, which runs from 0 to `count` - 1."""


@dataclass(frozen=True)
class _Context:
    kind: str
    clock: Clock
    column: sa.Column[Any]


@dataclass(frozen=True)
class Ago:
    """Times spread evenly from `oldest` to `newest` seconds ago; the first row is the oldest.

    Two columns with the same spread and different `plus` are that many seconds apart in each row.
    """

    oldest: float
    newest: float | None = None
    plus: float = 0.0

    def expression(self, number: ColumnElement[int], count: int, context: _Context) -> ColumnElement[Any]:
        newest = self.oldest if self.newest is None else self.newest
        step = (self.oldest - newest) / max(count - 1, 1)
        seconds = sa.cast(number, sa.Float) * sa.literal(step, sa.Float) - sa.literal(self.oldest - self.plus, sa.Float)
        return _from_now(seconds, context)


@dataclass(frozen=True)
class UniqueText:
    """A text that no other row has, of the form of a Celery task id."""

    def expression(self, number: ColumnElement[int], count: int, context: _Context) -> ColumnElement[Any]:
        if context.kind == "postgresql":
            return sa.cast(sa.func.gen_random_uuid(), sa.Text)
        if context.kind == "mariadb":
            return sa.func.uuid()
        return sa.func.lower(sa.func.hex(sa.func.randomblob(16)))


@dataclass(frozen=True)
class Numbered:
    """`prefix` and the row's number, which starts again after `different` rows."""

    prefix: str
    different: int

    def expression(self, number: ColumnElement[int], count: int, context: _Context) -> ColumnElement[Any]:
        text = sa.cast(number % self.different, sa.CHAR(20) if context.kind == "mariadb" else sa.Text)
        return sa.literal(self.prefix).concat(text)


@dataclass(frozen=True)
class Rows:
    """`count` rows with these values: constants, or one of the generated kinds. What is left out gets its default."""

    count: int
    values: Mapping[str, Any]


def fill(
    database: Database, table: str | sa.Table, groups: Sequence[Rows], order_by: str | None = None, clock: Clock = "utc"
) -> int:
    """Insert all groups with one statement; the number of rows.

    With `order_by`, rows go in by that column, as they would have over the years: ids and pages then follow time.
    `clock` says what times without a zone mean: UTC; the session's own zone, as NOW() has it; or what Celery's database
    backend makes of them: it hands over UTC with its zone, which PostgreSQL turns into the session's and others drop.
    """
    groups = [group for group in groups if group.count]
    with database.begin() as connection:
        if isinstance(table, str):
            table = sa.Table(table, sa.MetaData(), autoload_with=connection)
        names = list(dict.fromkeys(name for group in groups for name in group.values))
        selects = [_select(database.kind, table, names, group, clock) for group in groups]
        rows = sa.union_all(*selects).subquery("made")
        query = sa.select(*(rows.c[name] for name in names))
        if order_by is not None:
            query = query.order_by(rows.c[order_by])
        if database.kind != "sqlite" and table.name in _SEQUENCES and "id" not in names:
            # MariaDB forgets the order of a subquery without a limit.
            ordered = query.limit(sum(group.count for group in groups)).subquery("ordered")
            query = sa.select(sa.Sequence(_SEQUENCES[table.name]).next_value().label("id"), *ordered.c)
            names = ["id", *names]
        connection.execute(sa.insert(table).from_select(names, query, include_defaults=False))
    return sum(group.count for group in groups)


def _select(kind: str, table: sa.Table, names: Sequence[str], group: Rows, clock: Clock) -> sa.Select[Any]:
    numbers = _numbers(kind, group.count)
    number: ColumnElement[int] = sa.literal_column("number", sa.Integer)
    columns: list[ColumnElement[Any]] = []
    for name in names:
        column = table.c[name]
        value: Any = group.values.get(name)
        if hasattr(value, "expression"):
            made = value.expression(number, group.count, _Context(kind, clock, column))
        else:
            made = sa.literal(value, column.type) if value is not None else sa.null()
        # In a union PostgreSQL takes a bare parameter for text, which it won't put into an enumeration or a time.
        columns.append((sa.cast(made, column.type) if kind == "postgresql" else made).label(name))
    return sa.select(*columns).select_from(numbers)


def _numbers(kind: str, count: int) -> FromClause:
    count = int(count)
    source = {
        "postgresql": f"(SELECT generate_series(0, {count - 1}) AS number)",
        # A table that MariaDB makes up as it is read.
        "mariadb": f"(SELECT seq AS number FROM seq_0_to_{count - 1})",
        "sqlite": (
            "(WITH RECURSIVE walk(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM walk"
            f" WHERE number < {count - 1}) SELECT number FROM walk)"
        ),
    }[kind]
    return sa.text(f"SELECT number FROM {source} AS numbers").columns(sa.column("number", sa.Integer)).subquery("n")


def _from_now(seconds: ColumnElement[float], context: _Context) -> ColumnElement[Any]:
    """The time `seconds` from now (before it, where negative), in the way in which the column keeps times."""
    if context.kind == "postgresql":
        moment: ColumnElement[Any] = sa.func.now() + seconds * sa.literal_column("INTERVAL '1 second'")
        if getattr(context.column.type, "timezone", False):
            return moment
        return sa.func.timezone("UTC", moment) if context.clock == "utc" else sa.cast(moment, sa.DateTime())
    if context.kind == "mariadb":
        now = sa.func.now(6) if context.clock == "session" else sa.func.utc_timestamp(6)
        return sa.func.timestampadd(sa.text("MICROSECOND"), sa.func.floor(seconds * 1_000_000), now)
    # Six digits of a second, as Django and SQLAlchemy write them: text of different lengths would not sort by time.
    modifier = sa.func.printf("%+f seconds", seconds)
    return sa.func.strftime("%Y-%m-%d %H:%M:%f000", "now", modifier)
