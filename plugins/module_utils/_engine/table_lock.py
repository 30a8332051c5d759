# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One lock for each record table, so that two scheduled runs never overlap. The database keeps it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from .database import Database
from .errors import CleanupError, UsageError
from .libraries import sa


class TableBusyError(CleanupError):
    """Another run has the table's lock."""


@contextmanager
def table_lock(database: Database, table: str) -> Iterator[None]:
    """Hold the lock of *table* (``table`` or ``schema.table``), or raise :class:`TableBusyError` at once.

    The server gives it back when the connection that took it ends, however the run ends. It is a connection of its own,
    for the run's may be opened again midway. Two runs that overlap after all, as where a pooler hands the connection to
    somebody else, delete nothing twice; they only get in each other's way.
    """
    if database.kind == "sqlite":
        with _file_lock(database, table):
            yield
        return
    with database.another() as holder:
        name = f"fleetops.celery {database.database} {table}"
        digest = hashlib.sha256(name.encode()).digest()
        if database.kind == "postgresql":
            take = sa.func.pg_try_advisory_lock(int.from_bytes(digest[:8], "big", signed=True))
        else:
            take = sa.func.get_lock(f"fleetops.celery {digest.hex()[:40]}", 0)  # a name has at most 64 characters
        if not holder.value(sa.select(take)):
            raise _busy(database, table)
        yield


@contextmanager
def _file_lock(database: Database, table: str) -> Iterator[None]:
    """SQLite has no locks by name: a file beside the database stands for one, and stays there."""
    import fcntl  # not on Windows, where only the controller's part could run

    path = f"{database.database}.{table}.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"The lock of {table} cannot be made as {path}: {error.strerror}.") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(database, table) from None
        yield
    finally:
        os.close(handle)


def _busy(database: Database, table: str) -> TableBusyError:
    return TableBusyError(f"{database.name}: another run is cleaning {table}. This one leaves it to that.")
