# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the record tables of one deployment in a SQLite file: `make_records.py FILE shop|library`.

The tables of django-celery-results and of Celery come from their own code.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))

from support.servers import Database, SQLite
from support.tables import (
    Ago,
    Rows,
    UniqueText,
    create_django_celery_results,
    create_processing_tasks,
    create_reading_sessions,
    fill,
)

DAY, HOUR = 86400, 3600


def make_shop(database: Database) -> None:
    create_django_celery_results(database)
    common = {"task_id": UniqueText(), "content_type": "application/json", "content_encoding": "utf-8"}
    groups = [
        # task, status, rows, oldest and newest age in seconds
        ("app.tasks.report", "SUCCESS", 120, 40 * DAY, 8 * DAY),
        ("app.tasks.report", "SUCCESS", 80, 6 * DAY, HOUR),
        ("app.tasks.flush_callbacks", "SUCCESS", 300, 5 * DAY, HOUR),
        ("app.tasks.report", "REVOKED", 7, 2 * DAY, HOUR),
        ("app.tasks.report", "STARTED", 3, 4 * DAY, 2 * DAY),
        ("app.tasks.report", "STARTED", 2, 5 * HOUR, HOUR),
    ]
    rows = [
        Rows(
            count,
            {
                **common,
                "task_name": task,
                "status": status,
                "result": "null",
                "date_created": Ago(oldest, newest),
                "date_done": Ago(oldest, newest),
            },
        )
        for task, status, count, oldest, newest in groups
    ]
    fill(database, "django_celery_results_taskresult", rows)


def make_library(database: Database) -> None:
    create_processing_tasks(database)
    create_reading_sessions(database)
    task = {"task_type": "DOWNLOAD"}
    fill(
        database,
        "processing_tasks",
        [
            Rows(40, {**task, "status": "FAILURE", "created_at": Ago(20 * DAY, 8 * DAY)}),
            Rows(30, {**task, "status": "SUCCESS", "created_at": Ago(20 * DAY, 8 * DAY)}),
            Rows(2, {**task, "status": "RUNNING", "created_at": Ago(3 * DAY), "started_at": Ago(2 * DAY)}),
            Rows(5, {**task, "status": "PENDING", "created_at": Ago(5 * HOUR)}),
        ],
    )


def main() -> None:
    path, name = Path(sys.argv[1]), sys.argv[2]
    path.touch()
    database = Database("sqlite", name, f"sqlite:///{path}", SQLite(), f"sqlite:///{path}", f"sqlite:///{path}")
    {"shop": make_shop, "library": make_library}[name](database)


if __name__ == "__main__":
    main()
