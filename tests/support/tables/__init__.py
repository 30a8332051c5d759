# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record tables, made in a given database by the code of the packages that own them, and many rows for them."""

from __future__ import annotations

from ..applications.application import Application
from ..servers import Database
from .bloat import bloat, fill_processing_tasks
from .documents import PROCESSING_TASKS, READING_SESSIONS, TASK_LOGS
from .dump import Dump, dump
from .fill import Ago, Rows, UniqueText, fill

__all__ = [
    "PROCESSING_TASKS",
    "READING_SESSIONS",
    "TASK_LOGS",
    "Ago",
    "Dump",
    "Rows",
    "UniqueText",
    "bloat",
    "create_celery_tables",
    "create_django_celery_beat",
    "create_django_celery_results",
    "create_processing_tasks",
    "create_reading_sessions",
    "create_task_logs",
    "dump",
    "fill",
    "fill_processing_tasks",
]


def create_django_celery_results(database: Database, version: str | None = None) -> None:
    """The tables of django-celery-results, by its migrations."""
    Application(database, backend="django-db", results_version=version).create_tables()


def create_django_celery_beat(database: Database, version: str | None = None) -> None:
    """The tables of django-celery-beat, by its migrations, and those of django-celery-results."""
    Application(database, beat=True, beat_version=version).create_tables()


def create_celery_tables(database: Database, celery_version: str | None = None) -> None:
    """`celery_taskmeta` and `celery_tasksetmeta`, by Celery's database backend."""
    Application(database, backend="database", celery_version=celery_version).create_tables()


def create_processing_tasks(database: Database) -> None:
    with database.begin() as connection:
        PROCESSING_TASKS.create_all(connection)


def create_task_logs(database: Database) -> None:
    """`task_logs`, the four tables that hang on it or stand beside it, and their foreign keys."""
    with database.begin() as connection:
        TASK_LOGS.create_all(connection)


def create_reading_sessions(database: Database) -> None:
    with database.begin() as connection:
        READING_SESSIONS.create_all(connection)
