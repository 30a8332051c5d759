# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving back space on MariaDB and MySQL."""

from __future__ import annotations

from .database import Database
from .errors import UsageError
from .reclaim_plan import Plan, Request, Step, bytes_of_rows, count_rows, execute, up_to_date
from .records import RecordTable
from .sizes import Size, estimate_rows, mysql_free_bytes, table_size

_SPARE = 8 * 1024 * 1024  # bytes that InnoDB keeps free in a file on purpose


def plan_on_mysql(database: Database, record: RecordTable, request: Request, size: Size) -> Plan:
    table = record.table
    if request.mode == "reindex":
        raise UsageError("MariaDB and MySQL rebuild a table together with its indexes: use mode vacuum.")
    if request.mode == "analyze":
        if up_to_date(count_rows(database, table), estimate_rows(database, table)):
            return Plan(left_out="the statistics are up to date")
        return Plan([Step("ANALYZE TABLE", lambda: execute(database, table, "ANALYZE TABLE %(fullname)s"))])
    coming = bytes_of_rows(database, table, size, request.expected)
    free = mysql_free_bytes(database, table) + coming
    # InnoDB keeps a few megabytes free on purpose, so a table must be larger to be worth it.
    share = 100 * free / max(free + size.size_bytes, 1)
    if share < request.least or free < _SPARE:
        return Plan(left_out=f"{share:.0f} % of the file is free ({free:,} bytes), too little to gain")
    words, statement = (
        ("ALTER TABLE … FORCE", "ALTER TABLE %(fullname)s FORCE")
        if request.mode == "full"
        else ("OPTIMIZE TABLE", "OPTIMIZE TABLE %(fullname)s")
    )

    def rebuild() -> str:
        execute(database, table, statement)
        return "" if table_size(database, table) != size else "nothing could be reclaimed"

    return Plan([Step(words, rebuild)], copy_bytes=size.size_bytes - coming)
