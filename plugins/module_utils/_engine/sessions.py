# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading sessions: closing them, and what their statistics say.

A session that was abandoned is closed as its reader would have: it ends now, where it began if
there was no progress, and its duration is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .clock import Clock
from .database import Database
from .libraries import sa
from .records import RecordTable
from .statuses import Statuses


@dataclass(frozen=True)
class SessionStatistics:
    """Sessions closed within a period, and those that are open now."""

    total_closed: int
    total_active: int
    avg_duration_minutes: float
    no_progress_count: int
    period_hours: float
    timestamp: str


def session_values(database: Database, record: RecordTable, closing: dict[str, Any]) -> dict[str, Any]:
    """Return what closing a session writes beside *closing*; nothing for other tables."""
    values: dict[str, Any] = {}
    start, end = record.find("start_position"), record.find("end_position")
    if start is not None and end is not None:
        # CASE and not GREATEST: SQLite has none, and NULL means no progress too.
        values[end.name] = sa.case((sa.or_(end.is_(None), end < start), start), else_=end)
    minutes = record.find("duration_minutes")
    if minutes is not None:
        ended = closing[record.column("finished").name]
        elapsed = minutes_between(database, record.column("started"), ended)
        values[minutes.name] = sa.cast(elapsed, minutes.type)
    return values


def session_statistics(
    database: Database, record: RecordTable, clock: Clock, statuses: Statuses, period: timedelta
) -> SessionStatistics:
    """Count sessions over the last *period*."""
    started, finished = record.column("started"), record.column("finished")
    closed = sa.and_(statuses.condition(["CLOSED"]), finished >= clock.moment(finished, period))
    minutes = record.find("duration_minutes")
    duration = minutes if minutes is not None else minutes_between(database, started, finished)
    start, end = record.find("start_position"), record.find("end_position")
    stuck = sa.and_(closed, sa.or_(end.is_(None), end <= start)) if _both(start, end) else sa.false()
    row = database.rows(
        sa.select(
            _count_if(closed),
            _count_if(statuses.condition(["ACTIVE"])),
            sa.func.avg(sa.case((closed, duration))),
            _count_if(stuck),
        ).select_from(record.table)
    )[0]
    return SessionStatistics(
        total_closed=int(row[0] or 0),
        total_active=int(row[1] or 0),
        avg_duration_minutes=round(float(row[2] or 0), 1),
        no_progress_count=int(row[3] or 0),
        period_hours=round(period.total_seconds() / 3600, 2),
        timestamp=clock.now.isoformat(),
    )


def minutes_between(database: Database, begin: Any, end: datetime | Any) -> Any:
    """Return the whole minutes from *begin* to *end* as SQL."""
    if database.kind == "postgresql":
        until = sa.literal(end, begin.type) if isinstance(end, datetime) else end
        return sa.func.floor(sa.extract("epoch", until - begin) / 60)
    if database.kind == "mysql":
        return sa.func.timestampdiff(sa.text("MINUTE"), begin, end)
    # Half a second against rounding: SQLite's days are floating point.
    days = sa.func.julianday(end) - sa.func.julianday(begin)
    return sa.cast(days * 1440 + 0.5 / 60, sa.Integer())


def _both(start: Any, end: Any) -> bool:
    return start is not None and end is not None


def _count_if(condition: Any) -> Any:
    return sa.func.sum(sa.case((condition, 1), else_=0))
