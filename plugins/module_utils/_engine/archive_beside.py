# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleting rows in one session of PostgreSQL while another reads them for the archive.

A server process that returns what it deletes takes three times as long as one that only deletes. Two processes share
that work, and what keeps them together is one snapshot
(https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION): in REPEATABLE READ, a
DELETE takes the rows of its snapshot, or fails where somebody has changed one of them since. It deletes no row that the
other session does not read, so where both have the same number of rows, they have the same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .archive_copy import Receive, copy_read, exact_text
from .database import Database
from .errors import ConflictError
from .libraries import sa


class SecondReader:
    """The session that reads; opened here.

    :raises DatabaseError: when the server gives no second connection
    """

    def __init__(self, database: Database) -> None:
        self._database = database.another()
        self._database.value(sa.text("SELECT 1"))

    def close(self) -> None:
        self._database.__exit__()

    @staticmethod
    def prepare(connection: Any) -> None:
        """Let a transaction that has just begun look at one snapshot until its end."""
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))

    def read_while(
        self, delete: Callable[[], int], connection: Any, table: Any, condition: Any, receive: Receive
    ) -> int:
        """Hand the rows of *table* that meet *condition* to *receive* while *delete* deletes them; return how many.

        :param delete: uses *connection*, whose transaction has changed nothing yet
        :raises ConflictError: when not the same rows were deleted as read
        :raises DatabaseError: when either fails
        """
        snapshot = connection.execute(sa.select(sa.func.pg_export_snapshot())).scalar()
        with self._database.transaction() as reading, ThreadPoolExecutor(1) as beside:
            reading.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            name = sa.bindparam("name", snapshot, type_=sa.Text(), literal_execute=True)
            reading.execute(sa.text("SET TRANSACTION SNAPSHOT :name").bindparams(name))
            reading.execute(exact_text())
            # It takes its lock first: behind somebody who waits for the table, it would wait for this very deletion.
            reading.execute(sa.select(sa.literal_column("1")).select_from(table).limit(0))
            deleting = beside.submit(delete)
            read = copy_read(reading, table, condition, receive)
        deleted = deleting.result()
        if deleted != read:
            raise ConflictError(f"{deleted:,} rows of {table.fullname} were deleted, but {read:,} were read.")
        return deleted
