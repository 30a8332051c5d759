# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PgBouncer before a PostgreSQL of our own: it gives a client a server's session for one transaction at a time."""

from __future__ import annotations

import os
import shutil
import signal

from sqlalchemy.exc import OperationalError

from ..missing import MissingPart
from .base import Database, loopback_url, open_engine
from .postgresql import OWNER, PostgreSQL
from .processes import ServerProcess, free_port, give_to_service, new_folder, remove_folder

_SESSIONS = 3  # of the server, dealt out in turn: what is left in one meets somebody else
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
server_round_robin = 1
min_pool_size = {_SESSIONS}
default_pool_size = {_SESSIONS}
"""
_PROGRAMS = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


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

    def url(self, database: Database) -> str:
        """How the owner reaches *database* through it."""
        return loopback_url("postgresql", OWNER, self._server.passwords[OWNER], self._port, database.name)

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
