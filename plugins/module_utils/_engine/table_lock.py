# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One lock for each record table, so that two runs never overlap. The database keeps it."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .database import Database
from .errors import TableBusyError, UsageError
from .libraries import sa


@contextmanager
def table_lock(database: Database, table: str) -> Iterator[None]:
    """Hold the lock of *table* (``table`` or ``schema.table``), or raise :class:`TableBusyError` at once.

    It belongs to the run's own connection, so the server gives it back however the run ends. Where that is opened again
    midway, the lock is taken again with it. None is taken behind a pooler, which may give the session to somebody else
    after a transaction, so that nobody could give the lock back: two runs that overlap there delete nothing twice, but
    get in each other's way.
    """
    if database.kind == "sqlite":
        with _file_lock(database, table):
            yield
        return
    take, give_back, holder = (sa.text(one) for one in _STATEMENTS[database.kind])

    def begin(connection: Any) -> None:
        key = _key(connection.dialect, table)
        if not connection.execute(take, key).scalar():
            raise _busy(database, table, connection.execute(holder, key).scalar())

    with database.keeping(begin, lambda connection: connection.execute(give_back, _key(connection.dialect, table))):
        yield


def _key(dialect: Any, table: str) -> dict[str, Any]:
    """Return by what the server knows the lock of *table*, with or without the schema that it has by default."""
    schema, _dot, name = table.rpartition(".")
    digest = hashlib.sha256(f"fleetops.celery {schema or dialect.default_schema_name}.{name}".encode()).digest()
    if dialect.name == "postgresql":
        return {"key": int.from_bytes(digest[:8], "big", signed=True)}
    return {"key": f"fleetops.celery {digest.hex()[:40]}"}  # a name has at most 64 characters


#: How to take a lock, to give it back, and to learn who has it.
_STATEMENTS = {
    "postgresql": (
        "SELECT pg_try_advisory_lock(:key)",
        "SELECT pg_advisory_unlock(:key)",
        "SELECT concat('session ', l.pid, ' of ' || a.usename, ' at ' || host(a.client_addr), "
        "', since ' || date_trunc('second', a.backend_start)) "
        "FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid "
        "WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted "
        "AND (CAST(l.classid AS bigint) << 32) | CAST(l.objid AS bigint) = :key "
        "AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())",
    ),
    "mysql": (
        "SELECT GET_LOCK(:key, 0)",
        "SELECT RELEASE_LOCK(:key)",
        "SELECT CONCAT('session ', IS_USED_LOCK(:key), COALESCE((SELECT CONCAT(' of ', user, ' at ', host) "
        "FROM information_schema.processlist WHERE id = IS_USED_LOCK(:key)), ''))",
    ),
}


@contextmanager
def _file_lock(database: Database, table: str) -> Iterator[None]:
    """SQLite has no locks by name: a file beside the database stands for one, while the run is at work."""
    with database.transaction():
        pass  # a database that is not there is told of first
    path = f"{database.database}.{table.removeprefix('main.').replace('/', '%2F')}.lock"
    try:
        handle = _locked(path, database.database)
    except BlockingIOError:
        with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            raise _busy(database, table, file.read(200)) from None
        raise _busy(database, table, None) from None
    except OSError as error:
        raise UsageError(f"The lock of {table} cannot be made as {path}: {error.strerror}.") from None
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} at {socket.gethostname()}".encode())
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)
        os.close(handle)


def _locked(path: str, database: str) -> int:
    """Open and lock the file at *path*; who may write the *database* may open it too, whoever has made it."""
    import fcntl  # not on Windows, where only the controller's part could run

    there = os.stat(database)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(PermissionError):  # it is somebody else's
                os.fchmod(handle, there.st_mode & 0o666)
                os.fchown(handle, there.st_uid, there.st_gid)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    return handle
            # Another run has ended meanwhile and removed it.
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _busy(database: Database, table: str, holder: str | None) -> TableBusyError:
    who = f" ({holder})" if holder else ""
    return TableBusyError(f"{database.name}: another run is cleaning {table}{who}. This one leaves it to that.")
