# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FastAPI with a table of its own: 15,420 rows of six kinds of work on videos."""

from __future__ import annotations

from collections.abc import Iterator

from ages import DAY, HOUR, between, last
from support.servers import Database
from support.tables import Ago, Rows, UniqueText, create_processing_tasks, fill

# Successes by type: of more than thirty days, of one to thirty, of the last day.
SUCCESSES = {
    "DOWNLOAD": (2_388, 2_340, 60),
    "EXTRACT_AUDIO": (2_417, 2_385, 45),
    "GENERATE_SRT": (2_416, 2_397, 32),
    "VIDEO_SLICE": (120, 130, 0),
    "CAPCUT_EXPORT": (40, 60, 0),
    "JIANYING_EXPORT": (8, 12, 0),
}
# Failures by type: of more than seven days, of one to seven.
FAILURES = {"DOWNLOAD": (170, 30), "EXTRACT_AUDIO": (130, 20), "GENERATE_SRT": (85, 15), "VIDEO_SLICE": (40, 10)}


def _rows(
    count: int,
    task_type: str,
    status: str,
    created: Ago,
    runs: bool = True,
    ends: bool = True,
    error: str | None = None,
) -> Rows:
    """Work that starts five seconds after its creation and takes two minutes."""
    return Rows(
        count,
        {
            "celery_task_id": UniqueText(),
            "task_type": task_type,
            "status": status,
            "progress": 100.0 if status == "SUCCESS" else 0.0,
            "error_message": error,
            "created_at": created,
            "started_at": Ago(created.oldest, created.newest, created.plus + 5) if runs else None,
            "completed_at": Ago(created.oldest, created.newest, created.plus + 125) if runs and ends else None,
        },
    )


def _groups() -> Iterator[Rows]:
    for task_type, (old, recent, today) in SUCCESSES.items():
        yield _rows(old, task_type, "SUCCESS", between(60 * DAY, 30 * DAY))
        yield _rows(recent, task_type, "SUCCESS", between(30 * DAY, DAY))
        yield _rows(today, task_type, "SUCCESS", Ago(DAY - HOUR, HOUR))
    for task_type, (old, recent) in FAILURES.items():
        error = "HTTP 403 from the source"
        yield _rows(old, task_type, "FAILURE", between(60 * DAY, 7 * DAY), error=error)
        yield _rows(recent, task_type, "FAILURE", between(7 * DAY, DAY), error=error)
    yield _rows(55, "GENERATE_SRT", "RETRY", between(3 * DAY, DAY), ends=False, error="the service is busy")
    # Two whose process died, and one that works; five that no worker ever took, and seven that wait their turn.
    yield _rows(2, "EXTRACT_AUDIO", "RUNNING", between(4 * DAY, DAY), ends=False)
    yield _rows(1, "EXTRACT_AUDIO", "RUNNING", Ago(HOUR), ends=False)
    yield _rows(5, "DOWNLOAD", "PENDING", between(DAY, 2 * HOUR), runs=False)
    yield _rows(7, "DOWNLOAD", "PENDING", last(HOUR), runs=False)


def make(database: Database) -> int:
    create_processing_tasks(database)
    return fill(database, "processing_tasks", list(_groups()), order_by="created_at")
