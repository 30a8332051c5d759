# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a new row meets the one that is there: each column by itself, in an insert that becomes an update."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from .schema import task_execution_history, task_logs, task_metadata, task_results

Expression = Any
#: Makes the new value from the row that is coming.
Value = Callable[[Any], Expression]

# Written into the statement: a driver that joins many rows into one statement has no room for other parameters.
_SUCCESS: Any = sa.literal_column("'SUCCESS'")


class Merge(NamedTuple):
    table: sa.Table
    key: tuple[str, ...]
    #: In this order: MariaDB's expressions see what those before them have set.
    values: dict[str, Value]
    #: Which rows are worth an update at all. MariaDB sees that by itself.
    where: Value | None = None


def merges(dialect: str) -> tuple[Merge, Merge, Merge, Merge]:
    """Return those of tasks, metadata, attempts and results."""
    smaller, greater = (sa.func.min, sa.func.max) if dialect == "sqlite" else (sa.func.least, sa.func.greatest)
    return _tasks(smaller, greater), _metadata(smaller), _attempts(), _results()


def upsert(dialect: str, merge: Merge, names: list[str], rows: Any = None) -> Any:
    """Return the statement.

    :param rows: a query for the new rows, in the order of *names*; parameters where it is None
    """
    if dialect in ("mysql", "mariadb"):
        own = mysql.insert(merge.table)
        return own.on_duplicate_key_update([(name, make(own.inserted)) for name, make in merge.values.items()])
    make_insert: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert
    insert = make_insert(merge.table)
    if rows is not None:
        insert = insert.from_select(names, rows)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=merge.key,
        set_={name: make(new) for name, make in merge.values.items()},
        where=merge.where(new) if merge.where else None,
    )


def _tasks(smaller: Any, greater: Any) -> Merge:
    old = task_logs.c

    def is_later(new: Any) -> Expression:
        return new.status_order >= old.status_order

    def of_the_later(name: str) -> Value:
        return lambda new: sa.case((is_later(new), new[name]), else_=old[name])

    return Merge(
        task_logs,
        ("task_id",),
        {
            **{name: of_the_later(name) for name in ("status", "error_message", "completed_at")},
            # Where one of the two is unknown, most databases know the greater as little.
            "started_at": lambda new: greater(
                sa.func.coalesce(new.started_at, old.started_at), sa.func.coalesce(old.started_at, new.started_at)
            ),
            "worker_name": lambda new: sa.case(
                (is_later(new), sa.func.coalesce(new.worker_name, old.worker_name)),
                else_=sa.func.coalesce(old.worker_name, new.worker_name),
            ),
            **{name: _first(old, name) for name in ("args", "kwargs")},
            **{name: _last(old, name) for name in ("progress_state", "progress")},
            "created_at": lambda new: smaller(old.created_at, new.created_at),
            "retries": lambda new: greater(new.retries, old.retries),
            "status_order": of_the_later("status_order"),
        },
    )


def _metadata(smaller: Any) -> Merge:
    old = task_metadata.c
    return Merge(
        task_metadata,
        ("task_id",),
        {"created_at": lambda new: smaller(old.created_at, new.created_at)},
        where=lambda new: new.created_at < old.created_at,
    )


def _attempts() -> Merge:
    old = task_execution_history.c

    def is_later(new: Any) -> Expression:
        return sa.and_(old.status != _SUCCESS, sa.or_(new.completed_at.is_not(None), old.completed_at.is_(None)))

    return Merge(
        task_execution_history,
        ("task_id", "attempt_number"),
        {
            "error_message": lambda new: sa.case((is_later(new), new.error_message), else_=old.error_message),
            "started_at": _first(old, "started_at"),
            "worker_name": _last(old, "worker_name"),
            "status": lambda new: sa.case((is_later(new), new.status), else_=old.status),
            "completed_at": _last(old, "completed_at"),
        },
    )


def _results() -> Merge:
    old = task_results.c

    def unless_success(name: str) -> Value:
        return lambda new: sa.case((old.status != _SUCCESS, new[name]), else_=old[name])

    return Merge(
        task_results,
        ("task_id",),
        {name: unless_success(name) for name in ("result", "traceback", "created_at", "status")},
    )


def _first(old: Any, name: str) -> Value:
    return lambda new: sa.func.coalesce(old[name], new[name])


def _last(old: Any, name: str) -> Value:
    return lambda new: sa.func.coalesce(new[name], old[name])
