# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleting the records that rules select: what every purge begins with.

What deletes is loaded only where there is something to delete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from .census import COUNTED_ROWS, Census, take_totals
from .clock import Clock
from .database import Database
from .errors import UsageError
from .first_look import finds_nothing
from .limits import Limits
from .progress import Progress
from .purge_result import PurgeResult, RuleCount
from .records import RecordTable
from .rules import PurgeRule, ZombieRule
from .selection import select_rows
from .statuses import Statuses
from .strategy import choose_strategy

if TYPE_CHECKING:
    from .archive import ArchivePlace
    from .pace import Pace
    from .proof import Containers


def purge(
    database: Database,
    record: RecordTable,
    rules: Sequence[PurgeRule],
    limits: Limits,
    *,
    confirm: str | None = None,
    check: bool = False,
    zombie_rules: Sequence[ZombieRule] = (),
    by_status: bool = False,
    referenced: str | None = None,
    exclusive_lock: timedelta | None = None,
    auto: bool = False,
    archive: ArchivePlace | None = None,
    watch: Callable[[Pace], None] | None = None,
    containers: Containers | None = None,
) -> PurgeResult:
    """Delete the rows that *rules* select, in batches that are committed one by one.

    :param confirm: the table's name, which a rule with ``all`` needs
    :param check: read only, and return the plan
    :param zombie_rules: rules that end zombies just before; in check mode, where nothing has ended
        them, their rows are counted as if they had been
    :param referenced: what to do with rows that foreign keys point at, one of :data:`rules.REFERENCED`
    :param exclusive_lock: how long others may be locked out, to rewrite the table where most of it goes
    :param auto: say that a rewrite would pay, even where nobody may be locked out
    :param by_status: count every row by status before and after, however many there are
    :param archive: where the rows go before they are deleted
    :param watch: is told the pace after each batch
    :param containers: where they were asked by who ended the zombies
    :raises UsageError: before anything is changed
    """
    if any(rule.all for rule in rules) and confirm != record.name:
        raise UsageError(
            f"A rule with all deletes every row of {record.name}. "
            f"To confirm, set confirm to the table's name: {record.name}."
        )
    archived = archive is not None
    strategy = choose_strategy(database, record, rules, limits, exclusive_lock, auto=auto, archived=archived)
    progress = Progress()
    statuses = Statuses(database, record)
    clock = Clock(database, record)
    before = None
    if not (by_status or check or limits.max_percent is not None):
        before = take_totals(database, record, statuses)
    selections = [select_rows(database, record, clock, statuses, rule) for rule in rules]
    if before is not None:
        # Where it has to say more than that there is nothing to do, it goes the whole way.
        plain = not (strategy.asks or archived or limits.gates or any(rule.tasks for rule in rules))
        # In a large table a look may read all of it, and what is loaded is soon made up for.
        if plain and before.total <= COUNTED_ROWS and finds_nothing(database, record, selections, clock):
            return _nothing_done(record, rules, before, progress)
    # Loaded only where it is needed: most tables of a fleet have nothing for most runs.
    from .purging import Purging
    from .rehearsal import Rehearsal

    rehearsal = Rehearsal(database, record, zombie_rules if check else (), containers)
    purging = Purging(database, record, statuses, clock, selections, limits, rehearsal, referenced, strategy, archive)
    return purging.run(check, before, watch)


def _nothing_done(record: RecordTable, rules: Sequence[PurgeRule], before: Census, progress: Progress) -> PurgeResult:
    return PurgeResult(
        table=record.name,
        rules=[RuleCount(rule, 0) for rule in rules],
        related=[],
        before=before,
        after=before,
        protected=0,
        referenced=0,
        remaining=0,
        progress=progress,
        seconds=progress.seconds,
        check=False,
        archive=None,
        strategy="batches",
        strategy_reason=None,
        cautions=[],
        cleared=[],
    )
