# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a process of its own: purges a database by the collection's engine, and tells how that went."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine.archive import parse_archive
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.limits import Limits
from ansible_collections.fleetops.celery.plugins.module_utils._engine.profiles import find_profile
from ansible_collections.fleetops.celery.plugins.module_utils._engine.purge import purge
from ansible_collections.fleetops.celery.plugins.module_utils._engine.purge_result import PurgeResult
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable
from ansible_collections.fleetops.celery.plugins.module_utils._engine.rules import parse_purge_rules
from sqlalchemy import event
from sqlalchemy.engine import Engine


class Transactions:
    """Listens to every engine, and keeps the longest time from a BEGIN to its COMMIT or ROLLBACK."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._began = 0.0
        event.listen(Engine, "begin", self._begin)
        event.listen(Engine, "commit", self._end)
        event.listen(Engine, "rollback", self._end)

    def _begin(self, _connection: Any) -> None:
        self._began = time.perf_counter()

    def _end(self, _connection: Any) -> None:
        self.longest = max(self.longest, time.perf_counter() - self._began)


def clean(
    database: Database, older_than: str, exclusive_lock: float | None = None, archive: dict[str, str] | None = None
) -> PurgeResult:
    record = RecordTable(database, find_profile("django_celery_results"))
    allowed = timedelta(seconds=exclusive_lock) if exclusive_lock else None
    rules = parse_purge_rules([{"older_than": older_than}])
    place = parse_archive(archive) if archive else None
    return purge(database, record, rules, Limits(), exclusive_lock=allowed, archive=place)


def peak_bytes() -> int:
    # Not getrusage: its high-water mark begins with the size of the process that started this one.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    order = json.load(sys.stdin)
    with Database(order["url"]) as database:
        # Once for nothing, as the other program does: it connects, and what is imported then is not part of the call.
        clean(database, "9999d")
        import_module(f"{RecordTable.__module__.rpartition('.')[0]}.purging")  # what deletes, which that did not need
        transactions = Transactions()
        began = time.perf_counter()
        result = clean(database, order["older_than"], order.get("exclusive_lock"), order.get("archive"))
        seconds = time.perf_counter() - began
    if result.progress.ended_early:
        raise SystemExit(f"it stopped early: {result.progress.reason}")
    print(
        json.dumps(
            {
                "seconds": seconds,
                "deleted": result.deleted,
                "longest": transactions.longest,
                "peak_bytes": peak_bytes(),
            }
        )
    )


if __name__ == "__main__":
    main()
