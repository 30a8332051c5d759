# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving back space on PostgreSQL, from the cheapest step to the dearest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .bloat import IndexSpace, index_space, table_free_percent
from .database import Database
from .errors import DatabaseError, LockTimeoutError, UsageError
from .holders import maintaining_sessions, snapshot_holders, waiting_sessions
from .indexes import Index
from .libraries import sa
from .reclaim_plan import Plan, Request, Step, execute
from .records import RecordTable
from .repack import find_repack, plan_repack
from .sizes import Size, live_rows, regclass, table_size
from .unfinished import clearing_up, drop_index, is_of_a_rebuild, quoted, unfinished_indexes

_CONCURRENTLY = (12,)  # the first version that can rebuild an index beside its readers and writers


def plan_on_postgresql(database: Database, record: RecordTable, request: Request, size: Size) -> Plan:
    ways = {"auto": _auto, "vacuum": _vacuum, "analyze": _analyze, "reindex": _reindex, "full": _full}
    return ways[request.mode](database, record, request, size)


def _auto(database: Database, record: RecordTable, request: Request, size: Size) -> Plan:
    vacuum = _vacuum(database, record, request, size)
    if database.server_version() < _CONCURRENTLY:
        vacuum.notes.append("indexes are looked at from PostgreSQL 12 on, which can rebuild them without a lock")
        return vacuum
    indexes = _reindex(database, record, request, size)
    repack = find_repack(database)
    if repack is not None:
        whole = plan_repack(database, record, request, size, repack)
        if whole.steps:
            # It rebuilds the indexes too, all but those that it would have to take for what they are not.
            whole.steps[:0] = [step for step in indexes.steps if not step.order]
            return whole
        indexes.notes += whole.notes
    # What is unfinished goes first, for VACUUM would clean it too.
    steps = sorted([*indexes.steps, *vacuum.steps], key=lambda step: step.order)
    left_out = "" if steps else f"{vacuum.left_out}; {indexes.left_out}"
    return Plan(steps, left_out, [*vacuum.notes, *indexes.notes], indexes.indexes)


def _vacuum(database: Database, record: RecordTable, request: Request, size: Size) -> Plan:
    dead, share = _dead(database, record, request, size)
    if not dead:
        return Plan(left_out="no row is dead")
    if share < request.least:
        return Plan(left_out=f"{share:.0f} % of the rows are dead, less than {request.least:g} %")
    return Plan([_removing(database, record, size, "VACUUM (ANALYZE)")])


def _analyze(database: Database, record: RecordTable, request: Request, _size: Size) -> Plan:
    changed = database.value(sa.select(sa.func.pg_stat_get_mod_since_analyze(regclass(database, record.table))))
    if not changed and not request.expected and not request.ended:
        return Plan(left_out="no row has changed since the last ANALYZE")
    return Plan([Step("ANALYZE", lambda: execute(database, record.table, "ANALYZE %(fullname)s"))])


def _full(database: Database, record: RecordTable, request: Request, size: Size) -> Plan:
    share = _dead(database, record, request, size)[1]
    free = table_free_percent(database, record.table, request.expected)
    if max(free, share) < request.least or not size.table_bytes:
        return Plan(left_out=f"{free:.0f} % of the table is free, less than {request.least:g} %")
    waiting = waiting_sessions(database, record.table)
    if waiting:
        raise DatabaseError(
            f"{_sessions(waiting)} for a lock of {record.name}, and mode full would keep everybody else waiting too. "
            "Run it again when no session waits."
        )
    copied = int(size.table_bytes * (1 - free / 100)) + size.index_bytes
    return Plan([_removing(database, record, size, "VACUUM (FULL, ANALYZE)")], copy_bytes=copied)


def _reindex(database: Database, record: RecordTable, request: Request, size: Size) -> Plan:
    if database.server_version() < _CONCURRENTLY:
        raise UsageError(
            f"{database.name} is older than PostgreSQL 12, which cannot rebuild an index without a lock. "
            "Use another mode."
        )
    spaces = index_space(database, record.table, (size.dead_rows or 0) + request.ended, request.expected)
    bloated = [index for index in spaces if index.bloated(request.least)]
    found = Plan(indexes=spaces)
    unfinished = unfinished_indexes(database, record.table)
    busy = maintaining_sessions(database, record.table) if unfinished else ()
    if busy:
        names = ", ".join(index.name for index in unfinished)
        found.notes.append(f"{names}: left alone, for session {busy[0]} may be building it just now")
    else:
        found.steps += [_dropping(database, record.table, index) for index in unfinished if is_of_a_rebuild(index)]
        found.notes += [
            f"{index.name}: left alone, though it serves no query: a build of it failed. "
            "Drop it, or finish it with REINDEX INDEX CONCURRENTLY"
            for index in unfinished
            if not is_of_a_rebuild(index)
        ]
    found.steps += [_rebuilding(database, record.table, index) for index in bloated]
    if any(index.estimate for index in bloated):
        found.notes.append("what of an index is free is an estimate; the extension pgstattuple would measure it")
    if not found.steps:
        found.left_out = "no index is bloated"
    return found


def _dead(database: Database, record: RecordTable, request: Request, size: Size) -> tuple[int, float]:
    """Return how many rows are dead, or will be, and what percentage of all that is."""
    live = live_rows(database, record.table)
    dead = (size.dead_rows or 0) + request.expected + request.ended
    return dead, 100 * dead / max(dead + live - request.expected, 1)


def _removing(database: Database, record: RecordTable, before: Size, words: str) -> Step:
    def run() -> str:
        execute(database, record.table, f"{words} %(fullname)s")
        after = table_size(database, record.table)
        # A first VACUUM also adds maps of its own to a table, so another size alone says nothing.
        if after.size_bytes < before.size_bytes or (after.dead_rows or 0) < (before.dead_rows or 0):
            return ""
        dead = f"{after.dead_rows or 0:,} dead rows could not be removed"
        holders = snapshot_holders(database)
        return f"{dead}: {holders[0].describe()} still sees them" if holders else dead

    return Step(words, run, order=1, decides=True)


def _dropping(database: Database, table: Any, index: Index) -> Step:
    return Step(f"DROP INDEX CONCURRENTLY {index.name} (unfinished)", lambda: drop_index(database, table, index))


def _rebuilding(database: Database, table: Any, index: IndexSpace) -> Step:
    def run() -> str:
        name = {"index": quoted(database, index.name, index.schema)}
        try:
            with clearing_up(database, table):
                return execute(database, table, "REINDEX INDEX CONCURRENTLY %(index)s", name)
        except LockTimeoutError as error:
            return f"{index.name} was not rebuilt: {error}"

    return Step(f"REINDEX INDEX CONCURRENTLY {index.name}", run, order=2, decides=True)


def _sessions(pids: Sequence[int]) -> str:
    return f"Session {pids[0]} waits" if len(pids) == 1 else f"Sessions {', '.join(map(str, pids))} wait"
