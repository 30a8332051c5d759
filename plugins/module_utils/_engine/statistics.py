# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in a record table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .census import take_census
from .clock import Clock
from .database import Database
from .libraries import sa
from .records import RecordTable
from .rules import ZombieRule
from .sizes import Size
from .statuses import Statuses
from .zombie_selection import select_zombies

if TYPE_CHECKING:
    from .sessions import SessionStatistics


@dataclass(frozen=True)
class Share:
    """How many rows have a status or task; ``percent`` of all rows."""

    label: str | None
    count: int
    percent: float


@dataclass(frozen=True)
class Statistics:
    """A record table at one moment. Dates are aware, in UTC."""

    table: str
    profile: str
    total: int
    size: Size
    by_status: list[Share]
    by_task: list[Share]
    tasks: int  #: how many different names there are
    created_in_period: int | None
    period: timedelta
    oldest: datetime | None
    newest: datetime | None
    overdue: list[tuple[ZombieRule, int]]
    sessions: SessionStatistics | None


def take_statistics(
    database: Database,
    record: RecordTable,
    *,
    top: int,
    period: timedelta,
    zombie_rules: Sequence[ZombieRule],
) -> Statistics:
    """Read the statistics of *record*.

    :param top: how many task names to list
    :param period: how far back "created" and the sessions' statistics look
    """
    clock, statuses = Clock(database, record), Statuses(database, record)
    zombies = [select_zombies(record, clock, statuses, rule) for rule in zombie_rules]
    census = take_census(database, record, statuses, [one.condition for one in zombies])
    tasks = _by_task(database, record, census.total)
    oldest, newest, created = _dates(database, record, clock, period)
    return Statistics(
        table=record.name,
        profile=record.profile.name,
        total=census.total,
        size=census.size,
        by_status=[_share(label, count, census.total) for label, count in _most(census.by_status)],
        by_task=tasks[:top],
        tasks=len(tasks),
        created_in_period=created,
        period=period,
        oldest=oldest,
        newest=newest,
        overdue=list(zip(zombie_rules, census.matched)),
        sessions=_sessions(database, record, clock, statuses, period),
    )


def _by_task(database: Database, record: RecordTable, total: int) -> list[Share]:
    column = record.find("task_name")
    if column is None:
        return []
    name = column
    if database.kind == "mysql":
        # Its usual collations would count names together that differ by case, which rules tell apart.
        from .task_names import exact_name

        name = exact_name(database, column)
    number = sa.func.count()
    rows = database.rows(sa.select(name, number).group_by(name).order_by(number.desc(), name))
    return [_share(None if name is None else str(getattr(name, "name", name)), count, total) for name, count in rows]


def _dates(
    database: Database, record: RecordTable, clock: Clock, period: timedelta
) -> tuple[datetime | None, datetime | None, int | None]:
    """Return the oldest and newest date, and how many rows were created within *period*."""
    created = record.find("created")
    column = created if created is not None else record.find("finished")
    if column is None:
        return None, None, None
    recent: Any = sa.null()
    if created is not None:
        counted = sa.select(sa.func.count()).select_from(record.table)
        recent = counted.where(created >= clock.moment(created, period)).scalar_subquery()
    # Each in a query of its own, which is one look-up where the column has an index.
    ends = (sa.select(end(column)).scalar_subquery() for end in (sa.func.min, sa.func.max))
    oldest, newest, number = database.rows(sa.select(*ends, recent))[0]
    return clock.to_utc(column, oldest), clock.to_utc(column, newest), number


def _sessions(
    database: Database, record: RecordTable, clock: Clock, statuses: Statuses, period: timedelta
) -> SessionStatistics | None:
    if not record.profile.flags:
        return None
    # Loaded only where it is needed: most tables are no sessions.
    from .sessions import session_statistics

    return session_statistics(database, record, clock, statuses, period)


def _most(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _share(label: str | None, count: int, total: int) -> Share:
    return Share(label, count, round(100 * count / total, 1) if total else 0.0)
