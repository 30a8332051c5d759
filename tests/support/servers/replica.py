# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A streaming replica of a PostgreSQL of our own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from ..waiting import wait_until
from .base import loopback_url, open_engine
from .postgresql import ADMIN, PostgreSQL
from .processes import ServerProcess, free_port, new_folder, remove_folder, run_tool


class Replica:
    def __init__(self, primary: PostgreSQL) -> None:
        self.folder = new_folder("replica")
        data = self.folder / "data"
        password = primary.passwords[ADMIN]
        source = f"host=127.0.0.1 port={primary.port} user={ADMIN} password='{password}'"
        run_tool([primary.binaries / "pg_basebackup", "-D", data, "-d", source, "-R", "-c", "fast"], self.folder)
        port = free_port()
        self._url = loopback_url("postgresql", ADMIN, password, port, "postgres")
        self._process = ServerProcess(
            [primary.binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", self.folder],
            self.folder,
            signal.SIGINT,
        )
        self._process.wait_until_ready(self._answers)
        # It answers before it has asked the primary for what is new, and asks before it has told how far it is.
        wait_until(lambda: self._run("SELECT status FROM pg_stat_wal_receiver") == "streaming", seconds=60)
        there = loopback_url("postgresql", ADMIN, password, primary.port, "postgres")
        wait_until(lambda: _ask(there, "SELECT replay_lsn FROM pg_stat_replication"), seconds=60)

    def _answers(self) -> bool:
        try:
            self._run("SELECT 1")
        except OperationalError:
            return False
        return True

    def _run(self, statement: str) -> Any:
        return _ask(self._url, statement)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It receives what the primary sends, and does nothing with it."""
        self._run("SELECT pg_wal_replay_pause()")
        # That was a request: until it is heeded, the replica goes on replaying.
        wait_until(lambda: self._run("SELECT pg_get_wal_replay_pause_state()") == "paused", seconds=30)
        try:
            yield
        finally:
            self._run("SELECT pg_wal_replay_resume()")

    def stop(self) -> None:
        self._process.stop()
        remove_folder(self.folder)


def _ask(url: str, statement: str) -> Any:
    engine = open_engine(url)
    with engine.connect() as connection:
        answer = connection.execute(sa.text(statement)).scalar()
    engine.dispose()
    return answer
