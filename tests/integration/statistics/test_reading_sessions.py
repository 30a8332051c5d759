# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics of reading sessions, as the application's own administration shows them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from support.engine import statistics
from support.running import ModuleRun
from support.servers import Database
from support.tables import Ago, Rows, UniqueText, create_reading_sessions, fill

HOUR = 3600.0


def _session(count: int, closed_hours_ago: float | None, minutes: int, start: int = 10, end: int | None = 20) -> Rows:
    closed = closed_hours_ago is not None
    ended = (closed_hours_ago or 0) * HOUR
    values: dict[str, Any] = {
        "id": UniqueText(),
        "user_id": "u",
        "book_id": "b",
        "started_at": Ago(ended + minutes * 60),
        "ended_at": Ago(ended) if closed else None,
        "duration_minutes": minutes if closed else 0,
        "start_position": start,
        "end_position": end,
        "is_active": not closed,
    }
    return Rows(count, values)


def _sessions(database: Database) -> None:
    create_reading_sessions(database)
    rows = [
        _session(6, 1, 30),
        _session(3, 20, 10, end=10),
        _session(1, 23, 60, end=None),
        _session(4, 30, 100),
        _session(2, 100, 1000, end=5),
        _session(5, None, 30),
        _session(7, None, 180),
    ]
    fill(database, "reading_sessions", rows)


@pytest.fixture
def sessions(make_database: Callable[..., Database]) -> Database:
    return make_database(_sessions)


@pytest.mark.parametrize(
    ("period", "closed", "average", "without_progress"),
    # The averages: (6*30 + 3*10 + 60) / 10, and so on.
    [("24h", 10, 27.0, 4), ("2d", 14, 47.9, 4), ("7d", 16, 166.9, 6), ("2h", 6, 30.0, 0), ("1m", 0, 0.0, 0)],
)
def test_what_was_closed_within_a_period(
    sessions: Database,
    period: str,
    closed: int,
    average: float,
    without_progress: int,
) -> None:
    told = statistics(sessions, profile="reading_sessions", period=period)["stats"]["sessions"]
    assert datetime.now(timezone.utc) - datetime.fromisoformat(told.pop("timestamp")) < timedelta(minutes=1)
    hours = {"24h": 24.0, "2d": 48.0, "7d": 168.0, "2h": 2.0, "1m": 0.02}[period]
    assert told == {
        "total_closed": closed,
        "total_active": 12,
        "avg_duration_minutes": average,
        "no_progress_count": without_progress,
        "period_hours": hours,
    }


def test_flags_are_named(fork_module: Callable[..., ModuleRun], sessions: Database) -> None:
    info = fork_module("results_info", {"database_url": sessions.url, "profile": "reading_sessions"})
    stats = info["stats"]
    assert [(one["status"], one["count"]) for one in stats["by_status"]] == [("CLOSED", 16), ("ACTIVE", 12)]
    assert stats["overdue"] == [{"rule": "abandoned", "count": 7}]
    assert "  Sessions active now: 12" in info["report"]
    assert any(
        "closed in the last 24h: 10 (4 without progress, 27 minutes on average)" in line for line in info["report"]
    )
