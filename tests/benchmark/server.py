# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL that loses nothing in a crash, and copies of a database that are all alike when a measurement begins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from records import TABLE
from support.servers import Database, PostgreSQL
from support.servers.postgresql import OWNER

QUARTER_OF_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
#: As a server is when it has just been installed, and as the official image starts one.
_AS_INSTALLED = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Only that no vacuum may run beside a measurement: whether one does is a matter of the minute.
    "autovacuum": "off",
}
_ROOMY = {
    **_AS_INSTALLED,
    # No checkpoint either.
    "checkpoint_timeout": "1h",
    "max_wal_size": "8GB",
    # What the manual recommends for a server of its own.
    "shared_buffers": f"{QUARTER_OF_MEMORY // 2**20}MB",
    "maintenance_work_mem": "512MB",
}


class DurablePostgreSQL(PostgreSQL):
    """With the settings that it is installed with, or *roomy*, as on a machine of its own."""

    def __init__(self, *, roomy: bool) -> None:
        super().__init__(settings=_ROOMY if roomy else _AS_INSTALLED)

    @contextmanager
    def copy(self, template: Database) -> Iterator[Database]:
        """A copy of *template*, all of it on disk and in the cache, for the time of a measurement."""
        name = self._next_name()
        self._disconnect(template)
        # File by file: through the log, large ones take twice as long.
        self._administer(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template.name} STRATEGY FILE_COPY")
        database = self._database(name)
        try:
            _warm(database)
            self._administer("CHECKPOINT")
            yield database
        finally:
            database.drop()

    def version(self) -> str:
        database = self.new_database()
        try:
            return str(database.scalar("SHOW server_version"))
        finally:
            database.drop()


def _warm(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(sa.text(f"SELECT max(length(result)) FROM {TABLE}"))
        connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
        for column in ("id", "date_done"):
            connection.execute(sa.text(f"SELECT count(*) FROM {TABLE} WHERE {column} IS NOT NULL"))


@contextmanager
def pinned_snapshot(database: Database) -> Iterator[None]:
    """Another session that has read the table and holds its snapshot open, as a long report or a backup does."""
    engine = database.engine(isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        connection.execute(sa.text(f"SELECT 1 FROM {TABLE} LIMIT 1"))
        yield
    engine.dispose()
