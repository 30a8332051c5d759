# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from support.servers import Database


def wait_until(true: Callable[[], object], seconds: float = 30.0) -> None:
    """Ask again and again until it is so; an AssertionError where it is not in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"it was not so within {seconds:g} s")
        time.sleep(0.05)


def someone_waits(database: Database) -> bool:
    """Whether a session waits for a lock: on a row, or on a table as a whole."""
    if database.kind == "postgresql":
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        return bool(database.scalar(f"{sessions} AND backend_type = 'client backend' AND wait_event_type = 'Lock'"))
    ((_name, rows),) = database.execute("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
    tables = "SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'"
    return bool(int(rows) or database.scalar(tables))


def time_passes(*, until: float, after: int) -> Callable[[Any], None]:
    """Return what watches a purge: once *after* records are gone, it holds the run up to its second *until*."""

    def watch(pace: Any) -> None:
        if pace.done >= after:
            time.sleep(max(until - pace.seconds, 0))

    return watch
