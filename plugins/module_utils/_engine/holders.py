# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who stands in the way on PostgreSQL: old snapshots that VACUUM must mind, and locks of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .database import Database
from .libraries import sa
from .sizes import regclass


@dataclass(frozen=True)
class Holder:
    """What keeps VACUUM from removing rows that died after it began.

    ``kind`` is ``session``, ``prepared transaction`` or ``replication slot``; ``name`` is the
    session's application, or what the other two are called.
    """

    kind: str
    pid: int | None
    name: str
    state: str | None
    seconds: int | None  #: since when, where the server tells it
    transactions: int  #: how many transactions ago

    def describe(self) -> str:
        who = f"session {self.pid}" if self.kind == "session" else f"{self.kind} {self.name}"
        about = [self.name or "no name"] if self.kind == "session" else []
        if self.state:
            about.append(self.state)
        about.append(f"{self.transactions:,} transactions ago" if self.seconds is None else f"for {self.seconds} s")
        return f"{who} ({', '.join(about)})"


def snapshot_holders(database: Database) -> list[Holder]:
    """Return who holds VACUUM back in this database, oldest first.

    Without the rights of ``pg_monitor`` the server hides sessions of other users.
    """
    rows = database.rows(
        sa.text(
            "SELECT 'session' AS kind, pid, application_name AS name, state, "
            "CAST(extract(epoch FROM clock_timestamp() - xact_start) AS bigint) AS seconds, "
            # Who has written, but reads nothing just now, has no snapshot, and yet a transaction that counts.
            "greatest(age(backend_xmin), age(backend_xid)) AS transactions "
            "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker' "
            "AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) "
            "AND (datname = current_database() OR backend_type = 'walsender') "
            "UNION ALL SELECT 'prepared transaction', NULL, gid, NULL, "
            "CAST(extract(epoch FROM clock_timestamp() - prepared) AS bigint), age(transaction) "
            "FROM pg_prepared_xacts WHERE database = current_database() "
            "UNION ALL SELECT 'replication slot', active_pid, CAST(slot_name AS text), "
            "CASE WHEN active THEN 'active' ELSE 'inactive' END, NULL, age(xmin) "
            "FROM pg_replication_slots WHERE xmin IS NOT NULL ORDER BY transactions DESC, pid"
        )
    )
    return [Holder(row.kind, row.pid, row.name, row.state, row.seconds, row.transactions) for row in rows]


def waiting_sessions(database: Database, table: Any) -> Sequence[int]:
    """Return the sessions that wait for a lock of *table*."""
    return _lockers(database, table, sa.text("NOT granted"))


def maintaining_sessions(database: Database, table: Any) -> Sequence[int]:
    """Return the other sessions that hold a lock of *table* as VACUUM and the building of an index take it."""
    mode = sa.text("granted AND mode = 'ShareUpdateExclusiveLock' AND pid <> pg_backend_pid()")
    return _lockers(database, table, mode)


def _lockers(database: Database, table: Any, condition: Any) -> Sequence[int]:
    here = sa.text("database = (SELECT oid FROM pg_database WHERE datname = current_database())")
    locks = sa.table("pg_locks", sa.column("pid"), sa.column("relation"), schema="pg_catalog")
    statement = sa.select(locks.c.pid).distinct().where(locks.c.relation == regclass(database, table), here, condition)
    return [int(pid) for (pid,) in database.rows(statement.order_by(locks.c.pid))]
