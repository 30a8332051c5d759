# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables, and how they come to be what they should: what is missing is added, nothing is ever dropped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

METADATA = sa.MetaData()
_ATTEMPTS = 5


def _id() -> sa.Column[int]:
    # SQLite counts up by itself only in an INTEGER.
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True)


def _time(name: str, nullable: bool = True) -> sa.Column[object]:
    # UTC everywhere, and with microseconds; where the database has none, without a zone.
    kind = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
    return sa.Column(name, kind, nullable=nullable)


def is_time(column: sa.Column[Any]) -> bool:
    # SQLAlchemy 1.4 puts a type of its own around one that has variants.
    return isinstance(getattr(column.type, "impl", column.type), sa.DateTime)


def _number(name: str, default: str = "0") -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=default)


def _task() -> sa.Column[int]:
    return sa.Column("task_id", sa.ForeignKey("task_logs.id"), nullable=False)


_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")

task_logs = sa.Table(
    "task_logs",
    METADATA,
    _id(),
    sa.Column("task_id", sa.String(255), nullable=False),
    sa.Column("task_name", sa.String(255), nullable=False),
    sa.Column("status", sa.String(50), nullable=False),
    _number("status_order", "-1"),
    sa.Column("args", _TEXT),
    sa.Column("kwargs", _TEXT),
    sa.Column("error_message", _TEXT),
    _time("created_at", nullable=False),
    _time("started_at"),
    _time("completed_at"),
    _number("retries"),
    sa.Column("worker_name", sa.String(255)),
    sa.Column("progress_state", sa.String(50)),
    sa.Column("progress", _TEXT),
    sa.Index("ux_task_logs_task_id", "task_id", unique=True),
)
task_metadata = sa.Table(
    "task_metadata",
    METADATA,
    _id(),
    _task(),
    sa.Column("queue_name", sa.String(100)),
    sa.Column("exchange", sa.String(255)),
    sa.Column("priority", sa.Integer),
    _time("eta"),
    _time("expires_at"),
    sa.Column("root_id", sa.String(255)),
    sa.Column("parent_id", sa.String(255)),
    sa.Column("origin", sa.String(255)),
    sa.Column("user_id", sa.String(255)),
    _time("created_at"),
    sa.Index("ux_task_metadata_task_id", "task_id", unique=True),
)
task_execution_history = sa.Table(
    "task_execution_history",
    METADATA,
    _id(),
    _task(),
    sa.Column("attempt_number", sa.Integer, nullable=False),
    sa.Column("status", sa.String(50), nullable=False),
    _time("started_at"),
    _time("completed_at"),
    sa.Column("error_message", _TEXT),
    sa.Column("worker_name", sa.String(255)),
    sa.Index("ux_task_execution_history_attempt", "task_id", "attempt_number", unique=True),
)
task_results = sa.Table(
    "task_results",
    METADATA,
    _id(),
    _task(),
    sa.Column("status", sa.String(50), nullable=False),
    sa.Column("result", _TEXT),
    sa.Column("traceback", _TEXT),
    _time("created_at"),
    sa.Index("ux_task_results_task_id", "task_id", unique=True),
)
worker_status = sa.Table(
    "worker_status",
    METADATA,
    _id(),
    sa.Column("worker_name", sa.String(255), nullable=False),
    sa.Column("status", sa.String(50), nullable=False),
    _time("started_at"),
    _time("last_heartbeat"),
    _number("active_tasks"),
    _number("processed_tasks"),
    _number("failed_tasks"),
    _number("dropped_records"),
    sa.Index("ux_worker_status_worker_name", "worker_name", unique=True),
)
queue_stats = sa.Table(
    "queue_stats",
    METADATA,
    _id(),
    sa.Column("queue_name", sa.String(100), nullable=False),
    sa.Column("message_count", sa.Integer, nullable=False),
    _time("recorded_at", nullable=False),
    sa.Index("ix_queue_stats_queue", "queue_name", "recorded_at"),
)


def bring_up_to_date(engine: sa.engine.Engine) -> None:
    """Make what is missing: tables, columns, indexes.

    Each step is made by itself, and whoever comes second looks again: two workers may start at once.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with engine.begin() as connection:
                missing = _missing(connection)
            for step in missing:
                with engine.begin() as connection:
                    connection.execute(step)
            return
        except sa.exc.DBAPIError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(0.2 * attempt)


def _missing(connection: sa.engine.Connection) -> list[sa.schema.DDLElement]:
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    steps: list[sa.schema.DDLElement] = []
    for table in METADATA.sorted_tables:
        if table.name not in there:
            steps.append(sa.schema.CreateTable(table))
            steps.extend(sa.schema.CreateIndex(index) for index in _indexes(table))
            continue
        columns = {column["name"] for column in inspector.get_columns(table.name)}
        steps.extend(_add_column(connection, column) for column in table.columns if column.name not in columns)
        found: list[Sequence[str | None]] = [
            one["column_names"] for one in inspector.get_indexes(table.name) if one["unique"]
        ]
        found += [one["column_names"] for one in inspector.get_unique_constraints(table.name)]
        names = {one["name"] for one in inspector.get_indexes(table.name)}
        for index in _indexes(table):
            if index.name not in names and not (index.unique and [c.name for c in index.columns] in found):
                steps.append(sa.schema.CreateIndex(index))
    return steps


def _indexes(table: sa.Table) -> list[sa.Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def _add_column(connection: sa.engine.Connection, column: sa.Column[object]) -> sa.schema.DDLElement:
    quote = connection.dialect.identifier_preparer
    definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
    # DDL takes % for the beginning of a parameter.
    text = f"ALTER TABLE {quote.format_table(column.table)} ADD COLUMN {definition}"
    return sa.schema.DDL(text.replace("%", "%%"))  # type: ignore[no-untyped-call]
