# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving back the space of deleted rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .bloat import IndexSpace
from .database import Database
from .disk import free_disk
from .errors import DatabaseError, UsageError
from .holders import Holder, snapshot_holders
from .libraries import sa
from .reclaim_mysql import plan_on_mysql
from .reclaim_plan import Plan, Planner, Request
from .reclaim_postgresql import plan_on_postgresql
from .reclaim_sqlite import plan_on_sqlite
from .records import RecordTable
from .refusals import advice_on_rights
from .sizes import Size, regclass, table_size

MODES = ("auto", "vacuum", "analyze", "reindex", "full")
_PLANNERS: dict[str, Planner] = {
    "postgresql": plan_on_postgresql,
    "mysql": plan_on_mysql,
    "sqlite": plan_on_sqlite,
}
_REMOVING = ("auto", "vacuum", "full")  # modes that would have no row stay dead


@dataclass
class ReclaimResult:
    """What was done, or in check mode what would be: ``steps`` are statements in words."""

    table: str
    mode: str
    before: Size
    after: Size
    steps: list[str]
    left_out: str  #: why nothing, or less than planned, was worth doing
    check: bool
    notes: list[str] = field(default_factory=list)
    indexes: list[IndexSpace] = field(default_factory=list)  #: those that were judged
    held_back_by: list[Holder] = field(default_factory=list)  #: oldest first

    @property
    def reclaimed_bytes(self) -> int:
        return max(0, self.before.size_bytes - self.after.size_bytes)

    @property
    def changed(self) -> bool:
        return bool(self.steps)


def reclaim(
    database: Database,
    record: RecordTable,
    mode: str,
    *,
    min_dead_percent: float,
    confirm: str | None = None,
    check: bool = False,
    expected_dead_rows: int = 0,
    expected_ended_rows: int = 0,
) -> ReclaimResult:
    """Vacuum, analyze or rebuild *record*'s table or its indexes where there is something to gain.

    :param mode: ``vacuum`` makes the space of dead rows usable again, ``analyze`` brings the
        planner's statistics up to date, ``reindex`` rebuilds bloated indexes, ``full`` rebuilds the
        table under an exclusive lock and gives the space back to the disk, ``auto`` does what is
        worth doing without that lock
    :param min_dead_percent: from what share of dead or free space it is worth it
    :param confirm: the table's name, which ``full`` needs
    :param expected_dead_rows: rows that a purge just before would have left dead; in check mode
        they count as dead
    :param expected_ended_rows: rows that ended zombies would have been, of which PostgreSQL keeps the dead ones
    """
    if mode == "full" and confirm != record.name:
        raise UsageError(
            f"Mode full locks {record.name} against every reader and writer while it is rebuilt. "
            f"To confirm, set confirm to the table's name: {record.name}."
        )
    if not 0 <= min_dead_percent <= 100:
        raise UsageError("min_dead_percent must lie between 0 and 100.")
    before = table_size(database, record.table)
    request = Request(mode, min_dead_percent, expected_dead_rows if check else 0, expected_ended_rows if check else 0)
    plan = _PLANNERS[database.kind](database, record, request, before)
    _mind_the_disk(database, record, mode, plan)
    after, done, left_out = before, [step.words for step in plan.steps], plan.left_out
    if plan.steps and not check:
        _require_right(database, record)
        done, left_out = _run(plan)
        after = table_size(database, record.table)
    holders = []
    dead = request.expected + request.ended + (after.dead_rows or 0)
    if database.kind == "postgresql" and mode in _REMOVING and plan.steps and dead:
        holders = snapshot_holders(database)
    return ReclaimResult(record.name, mode, before, after, done, left_out, check, plan.notes, plan.indexes, holders)


def _run(plan: Plan) -> tuple[list[str], str]:
    """Run the steps; return those that gained something, and why the others did not."""
    done: list[str] = []
    reasons: list[str] = []
    for step in plan.steps:
        try:
            reason = step.run()
        except DatabaseError as error:
            error.changed = error.changed or bool(done)
            raise
        if not reason:
            done.append(step.words)
            continue
        reasons.append(reason)
        if step.decides:
            break
    return done, "; ".join(reasons)


def _mind_the_disk(database: Database, record: RecordTable, mode: str, plan: Plan) -> None:
    """Leave a rebuild out, or refuse it where it was asked for, when its copy would fill the disk."""
    if not plan.copy_bytes:
        return
    free = free_disk(database, record.table)
    if free is None:
        plan.notes.append("how much room the server's disk has cannot be seen from here, so it was not looked at")
    elif free < plan.copy_bytes:
        lack = f"the copy would take about {plan.copy_bytes:,} bytes, and the disk has {free:,} free"
        if mode == "full":
            raise DatabaseError(f"{record.name} was not rebuilt: {lack}. Make room first.")
        plan.steps, plan.left_out = [], lack


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
