# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes a batch of changes: one transaction, and for each table one statement over many rows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from .bulk import AsDocument, RowByRow, moment
from .changes import Changes, Row
from .database import open_engine
from .merging import Merge, merges
from .schema import bring_up_to_date, queue_stats, worker_status
from .users import COLUMN, fitting, type_of_users


class Store:
    """The tables of one database, opened and brought up to date when this is made."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        try:
            bring_up_to_date(self._engine)
            self._users = type_of_users(self._engine)
        except BaseException:
            self.close()
            raise
        self._dialect = self._engine.dialect.name
        self._tasks, self._metadata, self._attempts, self._results = map(self._bulk, merges(self._dialect))

    def close(self) -> None:
        self._engine.dispose()

    def write(self, changes: Changes) -> None:
        with self._engine.begin() as connection:
            if changes.tasks:
                self._write_tasks(connection, changes)
            for worker in changes.workers.values():
                self._write_worker(connection, worker)
            if changes.queues:
                connection.execute(
                    sa.insert(queue_stats),
                    [{**row, "recorded_at": self._time(row["recorded_at"])} for row in changes.queues],
                )

    def count(self, worker: str, born: float | None, failures: int, dropped: int) -> bool:
        """Add to the numbers of the life that began then; whether there is a row of it yet."""
        table = worker_status
        with self._engine.begin() as connection:
            met = connection.execute(
                sa.update(table)
                .where(table.c.worker_name == worker, sa.not_(self._is_of_a_life_before(born)))
                .values(failed_tasks=table.c.failed_tasks + failures, dropped_records=table.c.dropped_records + dropped)
            )
            return met.rowcount > 0

    def _bulk(self, merge: Merge) -> Any:
        if self._dialect == "postgresql":
            return AsDocument(merge, self._users)
        return RowByRow(self._dialect, merge)

    def _time(self, at: float) -> Any:
        return moment(at, self._dialect)

    def _is_of_a_life_before(self, born: float | None) -> Any:
        if born is None:
            return sa.false()
        began = worker_status.c.started_at
        # An application's own table may keep no fractions.
        return sa.or_(began.is_(None), began < self._time(born - 1))

    def _write_tasks(self, connection: sa.engine.Connection, changes: Changes) -> None:
        for row in changes.metadata.values():
            row[COLUMN] = fitting(row[COLUMN], self._users)
        # Always in the same order, so that two writers wait for each other instead of blocking each other.
        self._tasks.write(connection, [changes.tasks[task_id] for task_id in sorted(changes.tasks)])
        # The rows are locked now, and with them everything that belongs to them.
        for bulk, rows in (
            (self._metadata, changes.metadata),
            (self._attempts, changes.attempts),
            (self._results, changes.results),
        ):
            if rows:
                bulk.write_children(connection, list(rows.values()))

    def _write_worker(self, connection: sa.engine.Connection, worker: Row) -> None:
        table = worker_status
        row = {**worker, "last_heartbeat": self._time(worker["last_heartbeat"])}
        born = row.pop("started_at", None)
        this = table.c.worker_name == row["worker_name"]
        before = connection.execute(sa.select(self._is_of_a_life_before(born)).where(this)).first()
        if born is not None and (before is None or before[0]):
            # A new life, however the one before has ended: its numbers begin anew.
            row.update(started_at=self._time(born), failed_tasks=0, dropped_records=0)
        if before is None:
            connection.execute(sa.insert(table).values(**row))
        else:
            connection.execute(sa.update(table).where(this).values(**row))
