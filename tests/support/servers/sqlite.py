# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLite: a folder of files that behaves like a server with databases."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from ..missing import MissingPart
from .base import Database, DatabaseServer
from .processes import new_folder


class SQLite(DatabaseServer):
    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.folder = new_folder("sqlite")

    def path(self, database: Database) -> Path:
        return self.folder / f"{database.name}.db"

    def new_database(self, template: Database | None = None, time_zone: str | None = None) -> Database:
        if time_zone is not None:
            raise MissingPart("SQLite keeps no time zone")
        name = self._next_name()
        url = f"sqlite:///{self.folder / name}.db"
        database = Database(self.kind, name, url, self, url, url)
        if template is None:
            self.path(database).touch()
        else:
            # Not a copy of the file: what is still in the write-ahead log would be missing.
            with (
                contextlib.closing(sqlite3.connect(self.path(template))) as source,
                contextlib.closing(sqlite3.connect(self.path(database))) as target,
            ):
                source.backup(target)
        return database

    def drop_database(self, database: Database) -> None:
        for path in self.folder.glob(f"{database.name}.db*"):
            path.unlink()

    def stop(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
