# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading sessions: abandoned ones are closed, and counted."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from .deployment import Deployment, deployment
from .engine.clock import Clock
from .engine.errors import TableBusyError, UsageError
from .engine.libraries import sa
from .engine.records import RecordTable
from .engine.sessions import session_statistics
from .engine.statuses import Statuses
from .engine.table_lock import table_lock
from .engine.zombies import fail_zombies

_LONGEST_PERIOD = 168  # hours: a week


def close_sessions(logger: logging.Logger) -> dict[str, Any]:
    """Close the sessions that are active for longer than the rule allows."""
    logger.info("Starting close_abandoned_sessions task")
    began = time.monotonic()
    closed, error = 0, None
    with deployment() as here:
        record, rules = _sessions(here)
        deadline = Clock(here.database, record).now - min(rule.older_than for rule in rules)
        try:
            with table_lock(here.database, record.profile.table):
                found = fail_zombies(here.database, record, rules, check=True).matched
                logger.info("Found %s abandoned sessions", found)
                result = fail_zombies(here.database, record, rules)
                closed = result.ended
                # What a reader has ended meanwhile is no failure.
                left = fail_zombies(here.database, record, rules, check=True) if closed < found else None
        except TableBusyError as busy:
            error = str(busy)
            logger.info(error)
        else:
            failed = [row.identity for row in left.rows] if left else []
            if logger.isEnabledFor(logging.DEBUG):
                _tell_each(here, record, [row.identity for row in result.rows if row.identity not in failed], logger)
            for session in failed:
                logger.warning("Failed to close session %s: another session of the database is at work on it", session)
            logger.info("Successfully closed %s/%s sessions", closed, found)
    milliseconds = (time.monotonic() - began) * 1000
    logger.info("Closed %s abandoned sessions in %.2fms", closed, milliseconds)
    return {
        "closed_count": closed,
        "execution_time_ms": round(milliseconds, 2),
        "deadline": deadline.isoformat(),
        "error": error,
    }


def count_sessions(hours: int) -> dict[str, Any]:
    """Return the statistics of the sessions closed within *hours*, and of the active ones."""
    if isinstance(hours, bool) or not isinstance(hours, int) or not 1 <= hours <= _LONGEST_PERIOD:
        raise UsageError(f"hours must be a whole number from 1 to {_LONGEST_PERIOD}, not {hours!r}.")
    with deployment(read_only=True) as here:
        record, _rules = _sessions(here)
        clock, statuses = Clock(here.database, record), Statuses(here.database, record)
        counted = session_statistics(here.database, record, clock, statuses, timedelta(hours=hours))
    assert counted is not None  # the profile has flags
    return {**asdict(counted), "period_hours": hours}


def _sessions(here: Deployment) -> tuple[RecordTable, Any]:
    table = here.table("reading_sessions")
    rules = table.effective_zombie_rules
    if not rules:
        raise UsageError(f"The policy has no rule that says when a session of {table.profile.table} is abandoned.")
    return RecordTable(here.database, table.profile), rules


def _tell_each(here: Deployment, record: RecordTable, closed: list[str], logger: logging.Logger) -> None:
    """Log the sessions that were closed: the first hundred, which the result has."""
    columns = record.table.c
    wanted = [columns.get(name) for name in ("user_id", "book_id", "duration_minutes")]
    identity = sa.cast(record.identity, sa.String(255))
    rows = here.database.rows(
        sa.select(identity, *(sa.null() if one is None else one for one in wanted)).where(identity.in_(closed))
    )
    for session, user, book, minutes in rows:
        logger.debug("Closed session %s for user %s, book %s, duration %smin", session, user, book, minutes)
