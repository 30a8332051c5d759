# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of each record table in one line: how many, in which status, how many days old."""

from __future__ import annotations

from typing import Any

from .fill import Ago, Rows, UniqueText

DAY = 86_400.0
TASK_RESULT = "django_celery_results_taskresult"
GROUP_RESULT = "django_celery_results_groupresult"
CHORD_COUNTER = "django_celery_results_chordcounter"


def task_results(count: int, status: str = "SUCCESS", days: float = 10, **values: Any) -> Rows:
    """Of django-celery-results; created a minute before they were last written."""
    common = {
        "task_id": UniqueText(),
        "task_name": "shop.tasks.add",
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "result": '"done"',
        "date_created": Ago(days * DAY + 60),
        "date_done": Ago(days * DAY),
    }
    return Rows(count, {**common, "status": status, **values})


def group_results(count: int, days: float = 10, **values: Any) -> Rows:
    common = {
        "group_id": UniqueText(),
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "result": "[]",
        "date_created": Ago(days * DAY + 60),
        "date_done": Ago(days * DAY),
    }
    return Rows(count, {**common, **values})


def task_metas(count: int, status: str = "SUCCESS", days: float | None = 10, **values: Any) -> Rows:
    """Of Celery's database backend, which dates only what has ended."""
    done = None if days is None else Ago(days * DAY)
    return Rows(count, {"task_id": UniqueText(), "status": status, "date_done": done, **values})


def processing_rows(count: int, status: str = "SUCCESS", days: float = 40, **values: Any) -> Rows:
    ended = status in ("SUCCESS", "FAILURE", "REVOKED")
    common = {
        "celery_task_id": UniqueText(),
        "task_type": "DOWNLOAD",
        "created_at": Ago(days * DAY + 60),
        "started_at": None if status == "PENDING" else Ago(days * DAY + 30),
        "completed_at": Ago(days * DAY) if ended else None,
    }
    return Rows(count, {**common, "status": status, **values})


def task_log_rows(count: int, status: str = "SUCCESS", days: float = 40, **values: Any) -> Rows:
    common = {
        "task_id": UniqueText(),
        "task_name": "crawl",
        "created_at": Ago(days * DAY + 60),
        "started_at": Ago(days * DAY + 30),
        "completed_at": None if status == "STARTED" else Ago(days * DAY),
    }
    return Rows(count, {**common, "status": status, **values})
