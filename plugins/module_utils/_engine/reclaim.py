# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving back the space of deleted rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .database import Database
from .errors import DatabaseError, UsageError
from .libraries import sa
from .records import RecordTable
from .refusals import advice_on_rights
from .sizes import Size, estimate_rows, mysql_free_bytes, regclass, table_size

MODES = ("auto", "vacuum", "analyze", "full")
_PAGE_OVERHEAD = 24  # bytes of a PostgreSQL page's header
_ROW_OVERHEAD = 4  # bytes of a row's pointer
_MYSQL_SPARE = 8 * 1024 * 1024  # bytes that InnoDB keeps free in a file on purpose
_SQLITE_SPARE = 64 * 1024  # bytes that are always free at the ends of pages of a small file
_STALE = 0.1  # share of rows by which statistics may be off before they are gathered anew


@dataclass
class ReclaimResult:
    """What was done, or in check mode what would be: ``steps`` are statements in words."""

    table: str
    mode: str
    before: Size
    after: Size
    steps: list[str]
    skipped: str  #: why nothing was worth doing; empty where something was
    check: bool

    @property
    def reclaimed_bytes(self) -> int:
        return max(0, self.before.size_bytes - self.after.size_bytes)

    @property
    def changed(self) -> bool:
        return bool(self.steps)


@dataclass(frozen=True)
class _Step:
    words: str
    statement: str  #: with ``%(fullname)s`` for the table, which SQLAlchemy quotes


def reclaim(
    database: Database,
    record: RecordTable,
    mode: str,
    *,
    min_dead_percent: float,
    confirm: str | None = None,
    check: bool = False,
    expected_dead_rows: int = 0,
) -> ReclaimResult:
    """Vacuum, analyze or rebuild *record*'s table where there is something to gain.

    :param mode: ``vacuum`` makes the space of dead rows usable again, ``analyze`` brings the
        planner's statistics up to date, ``full`` rebuilds the table under an exclusive lock and
        gives the space back to the disk, ``auto`` does what is worth doing without that lock
    :param min_dead_percent: from what share of dead or free space it is worth it
    :param confirm: the table's name, which ``full`` needs
    :param expected_dead_rows: rows that a purge just before would have left dead; in check mode
        they count as dead
    """
    if mode == "full" and confirm != record.name:
        raise UsageError(
            f"Mode full locks {record.name} against every reader and writer while it is rebuilt. "
            f"To confirm, set confirm to the table's name: {record.name}."
        )
    if not 0 <= min_dead_percent <= 100:
        raise UsageError("min_dead_percent must lie between 0 and 100.")
    before = table_size(database, record.table)
    planner = {"postgresql": _postgresql, "mysql": _mysql, "sqlite": _sqlite}[database.kind]
    expected = expected_dead_rows if check else 0
    steps, skipped = planner(database, record, mode, min_dead_percent, before, expected)
    after, done = before, [step.words for step in steps]
    if steps and not check:
        _require_right(database, record)
        for step in steps:
            statement: Any = sa.DDL(step.statement)  # type: ignore[no-untyped-call]
            database.outside_transaction(statement.against(record.table))
        after = table_size(database, record.table)
        if mode != "analyze" and not _gained(before, after):
            done, skipped = [], _held_back(database, before.dead_rows or 0)
    return ReclaimResult(record.name, mode, before, after, done, skipped, check)


def _gained(before: Size, after: Size) -> bool:
    """Whether bytes were returned, or rows removed; a first VACUUM also adds maps of its own to a table."""
    if before.dead_rows is None or after.dead_rows is None:
        return after != before
    return after.size_bytes < before.size_bytes or after.dead_rows < before.dead_rows


def _postgresql(
    database: Database, record: RecordTable, mode: str, least: float, size: Size, expected: int
) -> tuple[Sequence[_Step], str]:
    relation = regclass(database, record.table)
    live, changed = database.rows(
        sa.select(sa.func.pg_stat_get_live_tuples(relation), sa.func.pg_stat_get_mod_since_analyze(relation))
    )[0]
    dead = (size.dead_rows or 0) + expected
    share = 100 * dead / max(dead + live - expected, 1)
    if mode == "full":
        free = _postgresql_free_percent(database, record)
        if max(free, share) < least or not size.table_bytes:
            return [], f"{free:.0f} % of the table is free, less than {least:g} %"
        return [_Step("VACUUM (FULL, ANALYZE)", "VACUUM (FULL, ANALYZE) %(fullname)s")], ""
    if mode == "analyze":
        if not changed and not expected:
            return [], "no row has changed since the last ANALYZE"
        return [_Step("ANALYZE", "ANALYZE %(fullname)s")], ""
    if not dead or share < least:
        return [], f"{share:.0f} % of the rows are dead, less than {least:g} %" if dead else ("no row is dead")
    return [_Step("VACUUM (ANALYZE)", "VACUUM (ANALYZE) %(fullname)s")], ""


def _require_right(database: Database, record: RecordTable) -> None:
    """Refuse where PostgreSQL would: it only warns, does nothing, and reports success."""
    if database.kind != "postgresql":
        return
    relation = regclass(database, record.table)
    owner = (
        sa.select(sa.column("relowner"))
        .select_from(sa.table("pg_class", schema="pg_catalog"))
        .where(sa.column("oid") == relation)
        .scalar_subquery()
    )
    allowed: Any = sa.func.pg_has_role(owner, "USAGE")
    if database.server_version() >= (17,):
        allowed = sa.or_(allowed, sa.func.has_table_privilege(relation, "MAINTAIN"))
    if not database.value(sa.select(allowed)):
        raise DatabaseError(
            f"{database.name} lets only the owner of {record.name} do this. {advice_on_rights(database.user)}"
        )


def _postgresql_free_percent(database: Database, record: RecordTable) -> float:
    """Return the share of the table's pages that its rows do not need, measured by reading it."""
    block = int(database.value(sa.select(sa.func.current_setting("block_size"))))
    stored = sa.select(sa.func.count(), sa.func.sum(sa.func.pg_column_size(sa.literal_column("r")))).select_from(
        record.table.alias("r")
    )
    rows, row_bytes = database.rows(stored)[0]
    heap = int(database.value(sa.select(sa.func.pg_relation_size(regclass(database, record.table)))) or 0)
    needed = (int(row_bytes or 0) + rows * _ROW_OVERHEAD) * block / (block - _PAGE_OVERHEAD)
    return max(0.0, 100 * (1 - needed / heap)) if heap else 0.0


def _mysql(
    database: Database, record: RecordTable, mode: str, least: float, size: Size, expected: int
) -> tuple[Sequence[_Step], str]:
    free = mysql_free_bytes(database, record.table) + _bytes_of(database, record, size, expected)
    if mode == "analyze":
        counted = int(database.value(sa.select(sa.func.count()).select_from(record.table)))
        if _up_to_date(counted, estimate_rows(database, record.table)):
            return [], "the statistics are up to date"
        return [_Step("ANALYZE TABLE", "ANALYZE TABLE %(fullname)s")], ""
    # InnoDB keeps a few megabytes free on purpose, so a table must be larger to be worth it.
    share = 100 * free / max(free + size.size_bytes, 1)
    if share < least or free < _MYSQL_SPARE:
        return [], f"{share:.0f} % of the file is free ({free:,} bytes), too little to gain"
    if mode == "full":
        return [_Step("ALTER TABLE … FORCE", "ALTER TABLE %(fullname)s FORCE")], ""
    return [_Step("OPTIMIZE TABLE", "OPTIMIZE TABLE %(fullname)s")], ""


def _sqlite(
    database: Database, record: RecordTable, mode: str, least: float, size: Size, expected: int
) -> tuple[Sequence[_Step], str]:
    if mode == "analyze":
        counted = int(database.value(sa.select(sa.func.count()).select_from(record.table)))
        if _up_to_date(counted, _sqlite_known_rows(database, record)):
            return [], "the statistics are up to date"
        return [_Step("ANALYZE", "ANALYZE %(fullname)s")], ""
    free, whole = _sqlite_free_bytes(database)
    free += _bytes_of(database, record, size, expected)
    share = 100 * free / max(whole, 1)
    if share < least or free < _SQLITE_SPARE:
        return [], f"{share:.0f} % of the file is free ({free:,} bytes), too little to gain"
    return [_Step("VACUUM (the whole file)", "VACUUM")], ""


def _bytes_of(database: Database, record: RecordTable, size: Size, rows: int) -> int:
    """Estimate how many of the table's bytes *rows* of its rows take."""
    if not rows:
        return 0
    counted = int(database.value(sa.select(sa.func.count()).select_from(record.table)))
    return size.size_bytes * rows // max(counted, 1)


def _sqlite_free_bytes(database: Database) -> tuple[int, int]:
    """Return the bytes of the file that hold nothing, and all its bytes."""
    page_size = int(database.value(sa.text("PRAGMA page_size")))
    free = int(database.value(sa.text("PRAGMA freelist_count"))) * page_size
    whole = int(database.value(sa.text("PRAGMA page_count"))) * page_size
    try:
        free += int(database.value(sa.text("SELECT SUM(unused) FROM dbstat")) or 0)
    except DatabaseError:
        pass  # built without dbstat: whole free pages are all that can be told
    return free, whole


def _up_to_date(counted: int, known: int | None) -> bool:
    return known is not None and abs(counted - known) <= _STALE * max(counted, 100)


def _sqlite_known_rows(database: Database, record: RecordTable) -> int | None:
    if not database.value(sa.text("SELECT COUNT(*) FROM sqlite_master WHERE name = 'sqlite_stat1'")):
        return None
    rows = database.rows(sa.text("SELECT stat FROM sqlite_stat1 WHERE tbl = :name").bindparams(name=record.table.name))
    return int(str(rows[0][0]).split()[0]) if rows else None


def _held_back(database: Database, dead: int) -> str:
    """Say which session keeps dead rows from being removed."""
    if database.kind != "postgresql":
        return "nothing could be reclaimed"
    rows: Any = database.rows(
        sa.text(
            "SELECT pid, application_name, state, "
            "EXTRACT(epoch FROM now() - xact_start)::bigint AS seconds FROM pg_stat_activity "
            "WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() "
            "ORDER BY age(backend_xmin) DESC LIMIT 1"
        )
    )
    if not rows:
        return f"{dead:,} dead rows could not be removed"
    holder = rows[0]
    return (
        f"{dead:,} dead rows could not be removed: session {holder.pid} "
        f"({holder.application_name or 'no name'}, {holder.state}, for {holder.seconds} s) "
        "still sees them"
    )
