# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening the recorder's database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

CONNECT_SECONDS = 5
ANSWER_SECONDS = 30  # a server that is silent for longer has gone


def open_engine(url: str) -> sa.engine.Engine:
    """An engine of one connection, in UTC, that never waits for ever.

    :raises celery_maintenance.engine.errors.CleanupError: when the URL does not parse, or its driver is missing
    """
    from celery_maintenance.engine.drivers import parse_url

    kind, parsed = parse_url(url)
    engine = (
        sa.create_engine(
            parsed, future=True, pool_size=1, max_overflow=0, pool_pre_ping=True, connect_args=_arguments(kind, parsed)
        )
        if kind != "sqlite"
        else sa.create_engine(parsed, future=True, poolclass=sa.pool.NullPool, connect_args=_arguments(kind, parsed))
    )
    _configure(engine, kind)
    return engine


def _arguments(kind: str, url: Any) -> dict[str, Any]:
    if kind == "sqlite":
        return {"timeout": CONNECT_SECONDS}
    if kind == "mysql":
        arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
        return {**arguments, "read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
    arguments = {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": ANSWER_SECONDS * 1000,
        "application_name": "celery_tracking",
    }
    if url.drivername.endswith("+psycopg"):
        # Prepared statements break behind a pooler that hands out connections per transaction.
        arguments["prepare_threshold"] = None
    return arguments


def _configure(engine: sa.engine.Engine, kind: str) -> None:
    if kind == "postgresql":
        # With each transaction: a pooler may give the session to the application after it, which must find nothing set.
        from celery_maintenance.engine.postgresql_settings import set_for_a_transaction

        sa.event.listen(engine, "begin", lambda connection: set_for_a_transaction(connection, _OF_A_TRANSACTION))
    else:
        sa.event.listen(engine, "connect", lambda connection, _record: _set(connection, _OF_A_SESSION[kind]))


# A commit that a crash takes back costs some records of the last moment, and no task.
_OF_A_TRANSACTION = {
    "timezone": "UTC",
    "synchronous_commit": "off",
    "lock_timeout": "5s",
    "statement_timeout": f"{ANSWER_SECONDS}s",
    "jit": "off",
}
_OF_A_SESSION = {
    "mysql": (
        "SET time_zone = '+00:00', innodb_lock_wait_timeout = 5",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    ),
    "sqlite": ("PRAGMA synchronous = NORMAL",),
}


def _set(connection: Any, statements: tuple[str, ...]) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()
    connection.commit()
