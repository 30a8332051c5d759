# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a session of PostgreSQL is set to, and for how long.

A pooler such as PgBouncer may give each transaction another session of the server, and this session to the application
after it. What is set there must end with the transaction: an application that finds itself in a session that only
reads, or that gives up waiting for a lock, would fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

from .libraries import sa

_ENVIRONMENT = Lock()  # one for all threads, and some of them open connections at once


@contextmanager
def without_the_hosts_zone() -> Iterator[None]:
    """Let connections that are opened here have the zone of the server, or that which it has for the user.

    By PGTZ, libpq would ask for another, and whatever has dates without a zone was not written in that
    (https://www.postgresql.org/docs/current/libpq-envars.html).
    """
    with _ENVIRONMENT:
        zone = os.environ.pop("PGTZ", None)
        try:
            yield
        finally:
            if zone is not None:
                os.environ["PGTZ"] = zone


def set_for_the_session(connection: Any, settings: Mapping[str, str]) -> bool:
    """Set *settings* for as long as *connection* lasts; return whether that was done.

    It is not where the session is a pooler's: the server names another process than the connection does
    (https://www.postgresql.org/docs/current/protocol-flow.html, BackendKeyData).
    """
    told = connection.connection.dbapi_connection.info.backend_pid
    mine = "pg_backend_pid() = :told"
    wanted = (f"CASE WHEN {mine} THEN set_config('{name}', :{name}, false) END" for name in settings)
    return bool(connection.execute(sa.text(f"SELECT {mine}, {', '.join(wanted)}"), {"told": told, **settings}).scalar())


def set_for_a_transaction(connection: Any, settings: Mapping[str, str], *modes: str) -> None:
    """Set *settings*, whose values are words or numbers of this program, for the transaction that has just begun.

    :param modes: what else the transaction is like: ``READ ONLY``
    """
    statements = [f"SET TRANSACTION {mode}" for mode in modes]
    statements += (f"SET LOCAL {name} = '{value}'" for name, value in settings.items())
    # Not by a query: what a transaction is like can only be set before the first.
    connection.exec_driver_sql("; ".join(statements))
