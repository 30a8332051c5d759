# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records what Celery's tasks, workers and queues do, in tables of a database.

``import celery_tracking`` is all that an application does; settings come from the environment (see :mod:`.settings`).
The functions below read what was recorded, and delete what is old.
"""

from __future__ import annotations

from . import libraries  # before anything that needs SQLAlchemy
from .start import start
from .statistics import (
    cleanup_old_records,
    get_online_workers,
    get_realtime_status,
    get_running_tasks,
    get_task_statistics,
    get_worker_status,
)

__all__ = [
    "cleanup_old_records",
    "get_online_workers",
    "get_realtime_status",
    "get_running_tasks",
    "get_task_statistics",
    "get_worker_status",
    "libraries",
]

start()
