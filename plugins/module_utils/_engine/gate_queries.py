# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What gates ask the server."""

from __future__ import annotations

import time
from collections import deque
from datetime import timedelta
from typing import Any

from .database import Database
from .errors import UsageError
from .libraries import sa
from .sizes import regclass


class ReplicaLag:
    """How far the slowest streaming replica of a PostgreSQL server is behind.

    Timed here: ``pg_stat_replication.replay_lag`` keeps its last value while a replica stands still, and for a while
    after it has caught up, as it is written only when a replica reports progress (PostgreSQL, walsender.c).
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        #: positions of the log, each with when it was the last; of the first nobody knows how old it is
        self._written: deque[tuple[int, float]] = deque()
        self._first = True

    def measure(self) -> timedelta:
        """Return the lag; nothing where there is no replica, the longest where it has yet to catch up once.

        :raises UsageError: where the server does not tell it
        """
        if self._database.kind != "postgresql":
            raise UsageError(
                f"gates.max_replica_lag: {self._database.name} does not tell how far its replicas are behind. "
                "Ask what you know of them in gates.condition."
            )
        hidden, replayed, written = self._database.rows(
            sa.text(
                "SELECT count(*) FILTER (WHERE state IS NULL), "
                "pg_wal_lsn_diff(min(replay_lsn), '0/0'), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') "
                "FROM pg_catalog.pg_stat_replication"
            )
        )[0]
        if hidden:
            raise UsageError(
                f"gates.max_replica_lag: the user {self._database.user} may not see the replicas. "
                f"GRANT pg_monitor TO {self._database.user}, or leave the gate out."
            )
        now = time.monotonic()
        self._written.append((int(written), float("-inf") if self._first else now))
        self._first = False
        while self._written and (replayed is None or self._written[0][0] <= replayed):
            self._written.popleft()
        waiting = now - self._written[0][1] if self._written else 0.0
        return timedelta.max if waiting == float("inf") else timedelta(seconds=waiting)


def under_maintenance(database: Database, table: Any) -> str | None:
    """Say that a VACUUM or the like works on *table*; only PostgreSQL knows such."""
    if database.kind != "postgresql":
        return None
    # Everybody may see the locks, but not pg_stat_progress_vacuum's rows of other users.
    working = _locks(database, table).where(sa.column("mode") == "ShareUpdateExclusiveLock", sa.column("granted"))
    return f"a VACUUM, ANALYZE or index build works on {table.name}" if database.value(working) else None


def lock_waiters(database: Database, table: Any) -> str | None:
    """Say that other sessions wait for a lock on *table*; on MariaDB and MySQL, on any table of its database."""
    if database.kind == "postgresql":
        waiting = database.value(_locks(database, table).where(sa.not_(sa.column("granted"))))
        where = table.name
    elif database.kind == "mysql":
        waiting = database.value(
            sa.text(
                "SELECT count(*) FROM information_schema.processlist "
                "WHERE db = COALESCE(:schema, DATABASE()) AND state LIKE 'Waiting for table%'"
            ).bindparams(schema=table.schema)
        )
        where = "a table"
    else:
        return None
    return f"{waiting} other sessions wait for a lock on {where}" if waiting else None


def _locks(database: Database, table: Any) -> Any:
    """Return the statement that counts other sessions' locks on *table*."""
    return (
        sa.select(sa.func.count())
        .select_from(sa.table("pg_locks", sa.column("relation"), schema="pg_catalog"))
        .where(
            sa.column("relation") == regclass(database, table),
            sa.text("database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"),
            sa.text("pid <> pg_backend_pid()"),
        )
    )
