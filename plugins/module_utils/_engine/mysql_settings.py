# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a session of MariaDB or MySQL is set to, for as long as it lasts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from .libraries import sa


def configure_session(connection: Any, lock_timeout: timedelta, read_only: bool) -> None:
    """Have *connection* wait no longer than *lock_timeout* for a lock, and lock no more than it changes."""
    seconds = max(1, int(lock_timeout.total_seconds()))
    # On rows, and on tables.
    waiting = "SET SESSION innodb_lock_wait_timeout = :seconds, lock_wait_timeout = :seconds"
    connection.execute(sa.text(waiting), {"seconds": seconds})
    characteristics = ["READ ONLY"] if read_only else []
    if read_only or not _logs_statements(connection):
        # As PostgreSQL's sessions do. In REPEATABLE READ, InnoDB would hold the rows that a batch looks at and leaves,
        # too, and the gaps between them, and whoever writes there would wait for the commit
        # (https://dev.mysql.com/doc/refman/8.4/en/innodb-transaction-isolation-levels.html).
        characteristics.append("ISOLATION LEVEL READ COMMITTED")
    if characteristics:
        connection.execute(sa.text("SET SESSION TRANSACTION " + ", ".join(characteristics)))


def _logs_statements(connection: Any) -> bool:
    """Whether the server writes statements, and no rows, for its replicas.

    It refuses changes in READ COMMITTED then, for they might find other rows there
    (https://mariadb.com/docs/server/server-management/server-monitoring-logs/binary-log/binary-log-formats).
    """
    # Asked so, it is no error where a server does not know of it.
    formats = connection.execute(sa.text("SHOW SESSION VARIABLES LIKE 'binlog_format'")).all()
    return any(value == "STATEMENT" for _name, value in formats)
