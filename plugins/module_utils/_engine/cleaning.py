# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cleaning a record table as its policy says: end zombies, purge, give the space back, with statistics around it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .database import Database
from .documents import (
    reclaim_document,
    support_document,
    zombie_document,
)
from .errors import CleanupError
from .pace import Pace
from .policy import NO_VACUUM, Policy, TablePolicy
from .purge import purge
from .purge_report import purge_document, purge_report
from .purge_result import PurgeResult
from .reclaim import ReclaimResult, reclaim
from .records import RecordTable
from .report import reclaim_report, support_report, zombie_report
from .sizes import settle
from .statistics import Statistics, take_statistics
from .statistics_report import statistics_document, statistics_report
from .supporting import SupportResult, support
from .zombies import ZombieResult, fail_zombies, fail_zombies_of_dependents

if TYPE_CHECKING:
    from .archive import ArchivePlace
    from .proof import Containers

#: What a cleaning does, in this order.
STEPS = ("zombies", "purge", "vacuum")
_LINE = "-" * 60


@dataclass
class Cleaning:
    """What was done with one record table, or in check mode what would be. A step that was left out is ``None``."""

    table: str
    check: bool
    before: Statistics
    indexes: SupportResult | None = None
    zombies: list[ZombieResult] = field(default_factory=list)
    purge: PurgeResult | None = None
    reclaimed: ReclaimResult | None = None
    after: Statistics | None = None

    @property
    def changed(self) -> bool:
        done = (self.indexes, *self.zombies, self.purge, self.reclaimed)
        return any(one.changed for one in done if one is not None)

    @property
    def ended_early(self) -> bool:
        """Whether rows that match were left for the next run."""
        return not self.check and self.purge is not None and self.purge.progress.ended_early


def clean(
    database: Database,
    policy: Policy,
    table: TablePolicy,
    *,
    check: bool = False,
    steps: Collection[str] = STEPS,
    top: int = 10,
    period: timedelta = timedelta(hours=24),
    watch: Callable[[Pace], None] | None = None,
) -> Cleaning:
    """Clean one of *policy*'s tables.

    :param check: read only, and return the plan
    :param steps: which of :data:`STEPS` to do; with none of them only the statistics are read
    :param top: how many task names the statistics list
    :param period: how far back they look
    :param watch: is told the pace of the purge after each batch
    :raises CleanupError: ``changed`` says whether something had been done by then
    """
    record = RecordTable(database, table.profile)
    zombie_rules = table.effective_zombie_rules

    def statistics() -> Statistics:
        # What is overdue is told even where nobody is to end it.
        overdue = zombie_rules or table.profile.zombie_rules
        return take_statistics(database, record, top=top, period=period, zombie_rules=overdue)

    done = Cleaning(record.name, check, statistics())
    containers = _containers(policy) if table.proof and "zombies" in steps and zombie_rules else None
    try:
        if policy.indexes and "purge" in steps:
            done.indexes = support(database, record, check=check)
            if done.indexes.changed and not check:
                # A purge walks along indexes that it knows of.
                record = RecordTable(database, table.profile)
        if "zombies" in steps and table.zombie_rules != ():
            done.zombies = [fail_zombies(database, record, zombie_rules, check=check, containers=containers)]
            if table.zombie_rules is None:
                done.zombies += fail_zombies_of_dependents(database, table.profile, check=check)
        purge_rules = policy.purge_rules(table)
        if "purge" in steps and (purge_rules or table.purge_rules is None):
            done.purge = purge(
                database,
                record,
                purge_rules,
                policy.limits,
                confirm=table.confirm,
                check=check,
                zombie_rules=zombie_rules if "zombies" in steps else (),
                containers=containers,
                referenced=table.referenced,
                exclusive_lock=policy.exclusive_lock,
                archive=_archive_place(policy),
                watch=watch,
            )
        # A table that is to be rewritten will have no space to give back.
        rewritten = check and done.purge is not None and done.purge.strategy != "batches"
        if "vacuum" in steps and table.vacuum.mode != NO_VACUUM and not rewritten:
            if done.changed and not check:
                settle(database)
            done.reclaimed = reclaim(
                database,
                record,
                table.vacuum.mode,
                min_dead_percent=table.vacuum.min_dead_percent,
                confirm=table.vacuum.confirm,
                check=check,
                expected_dead_rows=done.purge.going if done.purge else 0,
                expected_ended_rows=sum(one.matched - one.unwritable for one in done.zombies[:1]),
            )
        if steps and not check:
            done.after = statistics()
    except CleanupError as error:
        error.changed = error.changed or (done.changed and not check)
        raise
    return done


def cleaning_report(done: Cleaning) -> list[str]:
    """Return what was done as the playbook cleanup shows it."""
    before = [_LINE, "Before", *statistics_report(done.before)]
    after = [_LINE, "After", *statistics_report(done.after)] if done.after else []
    lines = support_report(done.indexes) if done.indexes else []
    lines += zombie_report(done.zombies)
    lines += purge_report(done.purge) if done.purge else []
    lines += reclaim_report(done.reclaimed) if done.reclaimed else []
    if lines:
        lines = [_LINE, "What would be done" if done.check else "What was done", *lines]
    return [*before, *lines, *after, _LINE]


def cleaning_document(done: Cleaning) -> dict[str, Any]:
    """Return what was done as plain data: what the modules return, step by step."""
    return {
        "table": done.table,
        "changed": done.changed,
        "before": statistics_document(done.before),
        "indexes": support_document(done.indexes) if done.indexes else None,
        "zombies": zombie_document(done.zombies) if done.zombies else None,
        "purge": purge_document(done.purge) if done.purge else None,
        "vacuum": reclaim_document(done.reclaimed) if done.reclaimed else None,
        "after": statistics_document(done.after) if done.after else None,
    }


def _containers(policy: Policy) -> Containers:
    """Return the project's containers as they are now: what has started since the run began lives, too."""
    # Loaded only where it is needed, as below.
    from .compose import Project
    from .proof import Containers

    project = Project(policy.compose or {})
    return Containers(project.docker, project.containers)


def _archive_place(policy: Policy) -> ArchivePlace | None:
    if policy.archive is None:
        return None
    # Loaded only where it is needed: most runs archive nothing.
    from .archive import parse_archive

    return parse_archive(policy.archive)
