# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading rows for the archive in a session of PostgreSQL and a thread of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from .archive_copy import EXACT_TEXT, copy_read
from .archive_members import Compressor, new_member
from .archive_pieces import Pieces
from .database import Database
from .errors import ConflictError, DatabaseError
from .libraries import sa
from .postgresql_settings import set_for_a_transaction

_ONE_SNAPSHOT = "ISOLATION LEVEL REPEATABLE READ"


class ReadingSession:
    """A session, and the thread in which all that concerns it is done, in turn. It is opened there."""

    def __init__(self, database: Database, compression: str) -> None:
        self.database = database.another()
        self.thread = ThreadPoolExecutor(1)
        self._compression = compression
        self.thread.submit(self.database.value, sa.text("SELECT 1"))

    def begin(self) -> Reading:
        return Reading(self, new_member(self._compression))

    def close(self) -> None:
        self.thread.shutdown()
        self.database.__exit__()


class Reading:
    """What a session reads as of one snapshot, which another transaction can share as long as this has not ended.

    :param compressor: compresses the lines
    """

    def __init__(self, session: ReadingSession, compressor: Compressor) -> None:
        self.compressor = compressor
        self._session = session
        self._transaction = ExitStack()
        self._connection: Any = None
        self._pieces = Pieces()
        self._condition: Any = None
        self._locked: Future[None]
        self._count: Future[int]
        self._snapshot = session.thread.submit(self._begin)

    def shared(self) -> tuple[str, ...]:
        """Return the modes of a transaction that shares the snapshot.

        :raises ConflictError: when the session cannot be opened, or was lost
        """
        try:
            return _ONE_SNAPSHOT, f"SNAPSHOT '{self._snapshot.result()}'"
        except DatabaseError as error:
            raise ConflictError(str(error)) from None

    def read(self, table: Any, condition: Any) -> None:
        """Begin to read the rows of *table* that meet *condition*."""
        self._condition = condition
        self._locked = self._session.thread.submit(self._lock, table)
        self._count = self._session.thread.submit(self._copy, table, condition)

    def is_for(self, condition: Any) -> bool:
        """Whether it reads the rows that meet *condition*, or has yet to be told what to read."""
        return self._condition is None or self._condition is condition

    def deleting(self, delete: Callable[[], int], table: Any, condition: Any, take: Callable[[bytes], None]) -> int:
        """Hand the lines of what *delete* deletes to *take*, compressed; return how many.

        The last of them stay in the ``compressor``.

        :param delete: deletes the rows of *table* that meet *condition*, in a transaction that shares the snapshot
        :raises ConflictError: when not the same rows were deleted as read
        """
        if self._condition is None:
            self.read(table, condition)
        self._locked.result()
        deleted = delete()
        for piece in self._pieces:
            take(piece)
        read = self._count.result()
        if deleted != read:
            raise ConflictError(f"{deleted:,} rows of {table.fullname} were deleted, but {read:,} were read.")
        return deleted

    def end(self) -> ReadingSession:
        """End it, whether all is read or not; return its session, which can begin another."""
        self._pieces.let_fall()
        self._session.thread.submit(self._transaction.close)
        return self._session

    def _begin(self) -> str:
        with ExitStack() as opened:
            self._connection = opened.enter_context(self._session.database.transaction())
            set_for_a_transaction(self._connection, EXACT_TEXT, _ONE_SNAPSHOT, "READ ONLY")
            name = self._connection.execute(sa.select(sa.func.pg_export_snapshot())).scalar()
            self._transaction = opened.pop_all()
        return str(name)

    def _lock(self, table: Any) -> None:
        """Lock *table*, ahead of the deletion.

        Behind somebody who waits for the table, this would wait for that deletion, which waits for what is read.
        """
        self._snapshot.result()
        self._connection.execute(sa.select(sa.literal_column("1")).select_from(table).limit(0))

    def _copy(self, table: Any, condition: Any) -> int:
        try:
            self._locked.result()
            return copy_read(self._connection, table, condition, self._compress)
        finally:
            self._pieces.end()

    def _compress(self, lines: bytes) -> None:
        piece = self.compressor.compress(lines)
        if piece:
            self._pieces.put(piece)
