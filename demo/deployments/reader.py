# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FastAPI with reading sessions that readers leave open, and Celery's own table of results."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

from ages import DAY, HOUR, between, last
from support.servers import Database
from support.tables import Ago, Rows, UniqueText, create_celery_tables, create_reading_sessions, fill
from support.tables.fill import Numbered

# By status: rows of more than seven days, and of the last seven.
RESULTS = {"SUCCESS": (4_100, 600), "FAILURE": (210, 40), "REVOKED": (40, 10)}
TASKS = ("app.core.tasks.process_book", "app.core.tasks.generate_images")
# What every version of Celery can read, whether it pickles results itself or only falls back to it.
NOTHING = pickle.dumps(None)


def _sessions(count: int, started: Ago, minutes: int | None, pages: int | None) -> Rows:
    """Sessions from page 40 on; they are active without `minutes`, and nobody turned a page without `pages`."""
    ended = None if minutes is None else Ago(started.oldest, started.newest, started.plus + minutes * 60)
    return Rows(
        count,
        {
            "id": UniqueText(),
            "user_id": Numbered("user-", 37),
            "book_id": Numbered("book-", 11),
            "started_at": started,
            "ended_at": ended,
            "duration_minutes": minutes or 0,
            "start_position": 40,
            "end_position": None if pages is None else 40 + pages,
            "is_active": minutes is None,
        },
    )


def _all_sessions() -> Iterator[Rows]:
    yield _sessions(1_100, between(60 * DAY, DAY), minutes=25, pages=18)
    # The last day: 150 sessions of 23.5 minutes on average, 12 of them without progress.
    yield _sessions(75, Ago(DAY - HOUR, HOUR), minutes=20, pages=12)
    yield _sessions(63, Ago(DAY - HOUR, HOUR), minutes=27, pages=21)
    yield _sessions(12, Ago(DAY - HOUR, HOUR), minutes=27, pages=0)
    # Active ones: 15 were abandoned, six of them before the first page was turned; 30 are being read.
    yield _sessions(9, between(3 * DAY, 2 * HOUR), minutes=None, pages=5)
    yield _sessions(6, between(3 * DAY, 2 * HOUR), minutes=None, pages=None)
    yield _sessions(30, last(1.5 * HOUR), minutes=None, pages=3)


def _results() -> Iterator[Rows]:
    for status, counts in RESULTS.items():
        for count, done in zip(counts, (between(60 * DAY, 7 * DAY), last(7 * DAY)), strict=True):
            for number, task in enumerate(TASKS):
                yield Rows(
                    count // 2 if number else count - count // 2,
                    {"task_id": UniqueText(), "name": task, "status": status, "result": NOTHING, "date_done": done},
                )


def make(database: Database) -> int:
    create_reading_sessions(database)
    create_celery_tables(database)
    sessions = fill(database, "reading_sessions", list(_all_sessions()), order_by="started_at")
    return sessions + fill(database, "celery_taskmeta", list(_results()), order_by="date_done", clock="celery")
