# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PgBouncer before a PostgreSQL of our own: it gives a client a server's session for one transaction at a time."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import OperationalError

from ..missing import MissingPart
from .base import Database, loopback_url, open_engine
from .postgresql import OWNER, PostgreSQL
from .processes import ServerProcess, free_port, give_to_service, new_folder, remove_folder

_SESSIONS = 3  # of the server, for each database
_SETTINGS = f"""
[databases]
* = host=127.0.0.1 port={{server}}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {{port}}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {{users}}
pool_mode = transaction
default_pool_size = {_SESSIONS}
"""
_PROGRAMS = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def in_every_session(database: Database, statement: str) -> set[tuple[Any, ...]]:
    """What *statement* returns in each session of the server that a client of *database* may get from the pooler."""
    engine = database.engine()
    with ExitStack() as opened:
        # As many transactions at once as there are sessions, so that each has another one.
        connections = [opened.enter_context(engine.connect()) for _session in range(_SESSIONS)]
        sessions = {connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() for connection in connections}
        assert len(sessions) == _SESSIONS
        found = {tuple(row) for connection in connections for row in connection.exec_driver_sql(statement)}
        for connection in connections:
            connection.rollback()
    engine.dispose()
    return found


class PgBouncer:
    def __init__(self, server: PostgreSQL) -> None:
        program = shutil.which("pgbouncer", path=_PROGRAMS)
        if program is None:
            raise MissingPart("PgBouncer, e.g. apt install pgbouncer")
        self._server = server
        self.folder = new_folder("pgbouncer")
        self._port = free_port()
        users, settings = self.folder / "users", self.folder / "settings"
        users.write_text(f'"{OWNER}" "{server.passwords[OWNER]}"\n')
        settings.write_text(_SETTINGS.format(server=server.port, port=self._port, users=users))
        give_to_service(self.folder)
        self._process = ServerProcess([program, settings], self.folder, signal.SIGINT)
        self._process.wait_until_ready(self._answers)

    def through(self, database: Database, driver: str = "psycopg2") -> Database:
        """*database* as an application knows it that reaches it through this."""
        url = loopback_url(f"postgresql+{driver}", OWNER, self._server.passwords[OWNER], self._port, database.name)
        return replace(database, url=url)

    def _answers(self) -> bool:
        url = loopback_url("postgresql", OWNER, self._server.passwords[OWNER], self._port, "postgres")
        try:
            engine = open_engine(url)
            engine.connect().close()
            engine.dispose()
        except OperationalError:
            return False
        return True

    def stop(self) -> None:
        self._process.stop()
        remove_folder(self.folder)
