# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A table with more space than its rows need."""

from __future__ import annotations

import time

from ..servers import Database
from .fill import Ago, Rows, fill

KEPT = 2_000
_DELETED = 28_000


def fill_processing_tasks(database: Database) -> None:
    """Rows for `bloat` to delete. Apart from it, for a copy of a database is without its dead rows."""
    row = {"task_type": "DOWNLOAD", "created_at": Ago(86_400.0), "status": "SUCCESS", "error_message": "x" * 500}
    fill(database, "processing_tasks", [Rows(KEPT + _DELETED, row)])


def bloat(database: Database, seconds: float = 60.0) -> None:
    """Leave the first rows of `processing_tasks`, and wait until the server has noticed."""
    database.execute(f"DELETE FROM processing_tasks WHERE id > {KEPT}")
    deadline = time.monotonic() + seconds
    while database.kind == "mariadb" and _free_bytes(database) < 12_000_000:
        # InnoDB gives pages back in the background.
        if time.monotonic() > deadline:
            raise RuntimeError(f"InnoDB has {_free_bytes(database):,} free bytes after {seconds:.0f} s")
        time.sleep(0.1)


def _free_bytes(database: Database) -> int:
    return int(
        database.scalar(
            "SELECT data_free FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_name = 'processing_tasks'"
        )
    )
