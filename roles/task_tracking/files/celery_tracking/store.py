# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes a batch of changes: one transaction, and for each table one statement over many rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from .changes import Changes, Row
from .database import open_engine
from .records import ONLINE
from .schema import (
    bring_up_to_date,
    queue_stats,
    task_execution_history,
    task_logs,
    task_metadata,
    task_results,
    worker_status,
)

_MOST_VALUES = 900  # older SQLites take 999 in a statement
# Written into the statement: a driver that joins many rows into one statement has no room for other parameters.
_SUCCESS: Any = sa.literal_column("'SUCCESS'")


class Store:
    """The tables of one database, opened and brought up to date when this is made."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        try:
            bring_up_to_date(self._engine)
        except BaseException:
            self.close()
            raise
        self.with_zone = self._engine.dialect.name == "postgresql"
        self._statements = _Statements(self._engine.dialect.name)

    def close(self) -> None:
        self._engine.dispose()

    def write(self, changes: Changes) -> None:
        with self._engine.begin() as connection:
            if changes.tasks:
                self._write_tasks(connection, changes)
            for worker in changes.workers.values():
                self._write_worker(connection, worker)
            if changes.queues:
                connection.execute(sa.insert(queue_stats), changes.queues)

    def count(self, worker: str, failures: int, dropped: int) -> None:
        """Add to a worker's numbers."""
        table = worker_status
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.worker_name == worker)
                .values(
                    failed_tasks=table.c.failed_tasks + failures, dropped_records=table.c.dropped_records + dropped
                )
            )

    def _write_tasks(self, connection: sa.engine.Connection, changes: Changes) -> None:
        statements = self._statements
        # Always in the same order, so that two writers wait for each other instead of blocking each other.
        tasks = sorted(changes.tasks)
        connection.execute(statements.tasks, [changes.tasks[task_id] for task_id in tasks])
        # The rows are locked now, and with them everything that belongs to them.
        ids = dict(self._ids(connection, [changes.tasks[task_id]["task_id"] for task_id in tasks]))

        def children(rows: Iterable[tuple[str, Row]]) -> list[Row]:
            found = [(ids[changes.tasks[task_id]["task_id"]], row) for task_id, row in rows]
            return [{"task_id": key, **row} for key, row in sorted(found, key=lambda one: one[0])]

        for statement, rows in (
            (statements.metadata, children(changes.metadata.items())),
            (statements.attempts, children((key[0], row) for key, row in changes.attempts.items())),
            (statements.results, children(changes.results.items())),
        ):
            if rows:
                connection.execute(statement, rows)

    def _ids(self, connection: sa.engine.Connection, task_ids: list[str]) -> Iterable[tuple[str, int]]:
        for begin in range(0, len(task_ids), _MOST_VALUES):
            some = task_ids[begin : begin + _MOST_VALUES]
            for row in connection.execute(
                sa.select(task_logs.c.task_id, task_logs.c.id).where(task_logs.c.task_id.in_(some))
            ):
                yield row[0], row[1]

    def _write_worker(self, connection: sa.engine.Connection, worker: Row) -> None:
        table = worker_status
        row = {name: value for name, value in worker.items() if value is not None}
        known = sa.select(table.c.status).where(table.c.worker_name == row["worker_name"])
        before = connection.execute(known).scalar()
        if row["status"] == ONLINE and before != ONLINE:
            # A new life: its numbers begin anew.
            row.update(started_at=row["last_heartbeat"], failed_tasks=0, dropped_records=0)
        if before is None:
            connection.execute(sa.insert(table).values(**row))
        else:
            connection.execute(sa.update(table).where(table.c.worker_name == row["worker_name"]).values(**row))


class _Statements:
    """Each adds rows, or brings those that are there up to date where the new one is the later."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        task, attempt, result = task_logs.c, task_execution_history.c, task_results.c
        smaller = sa.func.min if dialect == "sqlite" else sa.func.least
        order = task.status_order

        def later_task(new: Any) -> Any:
            return new.status_order >= order

        def newer(name: str) -> Any:
            return lambda new: sa.case((later_task(new), new[name]), else_=task[name])

        def first(name: str) -> Any:
            return lambda new: sa.func.coalesce(task[name], new[name])

        def last(name: str) -> Any:
            return lambda new: sa.func.coalesce(new[name], task[name])

        self.tasks = self._upsert(
            task_logs,
            ["task_id"],
            {
                **{name: newer(name) for name in ("status", "error_message", "completed_at")},
                **{name: first(name) for name in ("args", "kwargs")},
                **{name: last(name) for name in ("progress_state", "progress")},
                **{
                    name: lambda new, name=name: sa.case(
                        (later_task(new), sa.func.coalesce(new[name], task[name])),
                        else_=sa.func.coalesce(task[name], new[name]),
                    )
                    for name in ("started_at", "worker_name")
                },
                "created_at": lambda new: smaller(task.created_at, new.created_at),
                "retries": lambda new: sa.case((new.retries > task.retries, new.retries), else_=task.retries),
                # Last, as MariaDB's expressions see what those before them have set.
                "status_order": lambda new: sa.case((later_task(new), new.status_order), else_=order),
            },
        )
        self.metadata = self._upsert(
            task_metadata,
            ["task_id"],
            {"created_at": lambda new: smaller(task_metadata.c.created_at, new.created_at)},
            where=lambda new: new.created_at < task_metadata.c.created_at,
        )

        def later_attempt(new: Any) -> Any:
            return sa.and_(
                attempt.status != _SUCCESS, sa.or_(new.completed_at.is_not(None), attempt.completed_at.is_(None))
            )

        self.attempts = self._upsert(
            task_execution_history,
            ["task_id", "attempt_number"],
            {
                "error_message": lambda new: sa.case(
                    (later_attempt(new), new.error_message), else_=attempt.error_message
                ),
                "started_at": lambda new: sa.func.coalesce(attempt.started_at, new.started_at),
                "worker_name": lambda new: sa.func.coalesce(new.worker_name, attempt.worker_name),
                "status": lambda new: sa.case((later_attempt(new), new.status), else_=attempt.status),
                "completed_at": lambda new: sa.func.coalesce(new.completed_at, attempt.completed_at),
            },
        )
        self.results = self._upsert(
            task_results,
            ["task_id"],
            {
                name: lambda new, name=name: sa.case((result.status != _SUCCESS, new[name]), else_=result[name])
                for name in ("result", "traceback", "created_at", "status")
            },
        )

    def _upsert(self, table: sa.Table, key: list[str], values: dict[str, Any], where: Any = None) -> Any:
        """
        :param where: which rows are worth an update; MariaDB sees that by itself
        """
        if self._dialect in ("mysql", "mariadb"):
            statement = mysql.insert(table)
            return statement.on_duplicate_key_update([(name, make(statement.inserted)) for name, make in values.items()])
        insert: Any = postgresql.insert if self._dialect == "postgresql" else sqlite.insert
        upsert = insert(table)
        new = upsert.excluded
        return upsert.on_conflict_do_update(
            index_elements=key, set_={name: make(new) for name, make in values.items()}, where=where and where(new)
        )
