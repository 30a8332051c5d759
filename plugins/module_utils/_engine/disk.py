# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much room the server's disk has, where that can be seen from here."""

from __future__ import annotations

import os
from typing import Any

from .database import Database
from .libraries import sa
from .sizes import regclass


def free_disk(database: Database, table: Any) -> int | None:
    """Return the free bytes of the disk that *table* is on; ``None`` where this host does not see it.

    A server in a container or on another host names folders that mean something else here, so the
    table's own file must be there.
    """
    find = {"postgresql": _postgresql_file, "mysql": _mysql_file, "sqlite": _sqlite_file}[database.kind]
    path = find(database, table)
    if path is None:
        return None
    disk = os.statvfs(os.path.dirname(path))
    return disk.f_bavail * disk.f_frsize


def _postgresql_file(database: Database, table: Any) -> str | None:
    relation = regclass(database, table)
    # The setting is hidden from users without the rights of pg_read_all_settings.
    folder = database.value(sa.text("SELECT setting FROM pg_settings WHERE name = 'data_directory'"))
    if folder is None:
        return None
    file, size = database.rows(sa.select(sa.func.pg_relation_filepath(relation), sa.func.pg_relation_size(relation)))[0]
    return _seen(os.path.join(folder, file or ""), min(int(size or 0), 2**30))


def _mysql_file(database: Database, table: Any) -> str | None:
    folder, here = database.rows(sa.text("SELECT @@datadir, DATABASE()"))[0]
    return _seen(os.path.join(folder, table.schema or here, f"{table.name}.ibd"))


def _sqlite_file(database: Database, _table: Any) -> str | None:
    file = database.rows(sa.text("SELECT file FROM pragma_database_list WHERE name = 'main'"))
    return _seen(str(file[0][0])) if file else None


def _seen(path: str, size: int | None = None) -> str | None:
    """Return *path* if this user sees a file of that *size* there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return path if size is None or found.st_size == size else None
