# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving back space on SQLite, where only the whole file can be rewritten."""

from __future__ import annotations

from .database import Database
from .errors import DatabaseError, UsageError
from .libraries import sa
from .reclaim_plan import Plan, Request, Step, bytes_of_rows, count_rows, execute, up_to_date
from .records import RecordTable
from .sizes import Size, table_size

_SPARE = 64 * 1024  # bytes that are always free at the ends of pages of a small file


def plan_on_sqlite(database: Database, record: RecordTable, request: Request, size: Size) -> Plan:
    table = record.table
    if request.mode == "reindex":
        raise UsageError("SQLite rewrites the file together with its indexes: use mode vacuum.")
    if request.mode == "analyze":
        if up_to_date(count_rows(database, table), _known_rows(database, record)):
            return Plan(left_out="the statistics are up to date")
        return Plan([Step("ANALYZE", lambda: execute(database, table, "ANALYZE %(fullname)s"))])
    free, whole = _free_bytes(database)
    free += bytes_of_rows(database, table, size, request.expected)
    share = 100 * free / max(whole, 1)
    if share < request.least or free < _SPARE:
        return Plan(left_out=f"{share:.0f} % of the file is free ({free:,} bytes), too little to gain")

    def rewrite() -> str:
        execute(database, table, "VACUUM")
        return (
            ""
            if (table_size(database, table), _free_bytes(database)) != (size, (free, whole))
            else ("nothing could be reclaimed")
        )

    return Plan([Step("VACUUM (the whole file)", rewrite)], copy_bytes=max(whole - free, 0))


def _free_bytes(database: Database) -> tuple[int, int]:
    """Return the bytes of the file that hold nothing, and all its bytes."""
    page_size = int(database.value(sa.text("PRAGMA page_size")))
    free = int(database.value(sa.text("PRAGMA freelist_count"))) * page_size
    whole = int(database.value(sa.text("PRAGMA page_count"))) * page_size
    try:
        free += int(database.value(sa.text("SELECT SUM(unused) FROM dbstat")) or 0)
    except DatabaseError:
        pass  # built without dbstat: whole free pages are all that can be told
    return free, whole


def _known_rows(database: Database, record: RecordTable) -> int | None:
    if not database.value(sa.text("SELECT COUNT(*) FROM sqlite_master WHERE name = 'sqlite_stat1'")):
        return None
    rows = database.rows(sa.text("SELECT stat FROM sqlite_stat1 WHERE tbl = :name").bindparams(name=record.table.name))
    return int(str(rows[0][0]).split()[0]) if rows else None
