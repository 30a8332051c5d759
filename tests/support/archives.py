# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a purge into an archive must not lose, and must not keep twice, whatever ends it."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from .engine import purge
from .servers import Database
from .tables import create_task_logs, dump, fill
from .tables.rows import task_log_rows

ROWS = 3_000

#: How often each row is there, by its table and its number.
Held = Counter[tuple[str, int]]


def make_logs(database: Database) -> None:
    """Records of which all go, with two children each."""
    create_task_logs(database)
    fill(database, "task_logs", [task_log_rows(ROWS)])
    for number in (1, 2):
        database.execute(
            "INSERT INTO task_execution_history (task_id, attempt_number, status, error_message)"
            f" SELECT id, {number}, 'x', task_id FROM task_logs"
        )


def left(database: Database) -> Held:
    return Counter((name, row[0]) for name, rows in dump(database).items() for row in rows)


def counted(folder: Path) -> Held:
    """The rows that the manifests in *folder* count."""
    return Counter((name, int(number)) for name, number, *_values in lines(folder))


def lines(folder: Path) -> list[list[Any]]:
    """The lines that the manifests in *folder* count: a table's name, and the values of a row."""
    return list(_lines(folder))


def _lines(folder: Path) -> Iterator[list[Any]]:
    for path in folder.glob("*.manifest.json"):
        manifest = json.loads(path.read_text())
        rest = path.with_name(manifest["file"]).read_bytes()[: manifest["bytes"]]
        rows = 0
        while rest:
            member = zlib.decompressobj(31)
            texts = member.decompress(rest).splitlines()
            assert member.eof
            rest = member.unused_data
            rows += len(texts)
            yield from map(json.loads, texts)
        assert rows == manifest["rows"] == sum(table["rows"] for table in manifest["tables"])


def settled(database: Database, folder: Path) -> Held:
    """What the table and the archives hold, once the next run has begun."""
    purge(database, profile="task_logs", max_rows=1, archive={"path": str(folder), "compression": "gzip"})
    return left(database) + counted(folder)


def end_sessions(database: Database) -> int:
    """Let the server end every other session in this database; return how many there were."""
    if database.kind == "postgresql":
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return len(database.execute(f"SELECT pg_terminate_backend(pid, 5000) {others}"))
    others = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    found = database.execute(others)
    for (number,) in found:
        try:
            database.execute(f"KILL {number}")
        except sa.exc.OperationalError as error:
            if "Unknown thread id" not in str(error):  # gone meanwhile
                raise
    return len(found)
