# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sidecar's Celery app: a worker with beat for these tasks, on a queue of their own at the application's broker.

    celery -A celery_maintenance.app worker --beat --pool solo

Its settings are one variable, as JSON: ``application`` (as ``celery -A`` takes it), ``queue``, ``priority``,
``timezone`` and ``schedule``, a list of ``name``, ``task``, ``crontab`` and ``kwargs``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab
from kombu.entity import Queue

from . import tasks
from .broker import read_broker
from .engine.crontab import parse_crontab

__all__ = ["app", "tasks"]

SETTINGS_VARIABLE = "CELERY_MAINTENANCE_SIDECAR"
#: What RabbitMQ has to know of a queue before messages in it can have priorities.
_HIGHEST_PRIORITY = 10
#: The container's health check looks for it.
_READY = Path("/tmp/celery-maintenance-ready")


def _beat_schedule(settings: dict[str, Any]) -> dict[str, Any]:
    priority = settings.get("priority")
    options = {"queue": settings["queue"], **({} if priority is None else {"priority": priority})}
    return {
        entry["name"]: {
            "task": entry["task"],
            "schedule": crontab(**parse_crontab(entry["crontab"])),
            "kwargs": entry.get("kwargs") or {},
            "options": options,
        }
        for entry in settings["schedule"]
    }


def _make(settings: dict[str, Any]) -> Celery:
    # The application's own, which it reads from the environment as well.
    os.environ.pop("CELERY_RESULT_BACKEND", None)
    # Without fixups: Celery would import Django where the environment names its settings.
    made = Celery("celery_maintenance", fixups=set())
    arguments = None if settings.get("priority") is None else {"x-max-priority": _HIGHEST_PRIORITY}
    queue = Queue(settings["queue"], queue_arguments=arguments)  # type: ignore[no-untyped-call]
    made.conf.update(
        **read_broker(settings["application"]),
        broker_connection_retry_on_startup=True,
        task_queues=[queue],
        task_default_queue=settings["queue"],
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        # The application's own commands, such as inspect and shutdown, are not for it.
        worker_enable_remote_control=False,
        timezone=settings["timezone"],
        beat_schedule=_beat_schedule(settings),
        beat_schedule_filename="/tmp/celery-maintenance-schedule",
    )
    return made


app = _make(json.loads(os.environ[SETTINGS_VARIABLE]))


# Only where the worker starts: others may import this in the same container.
def _forget_health(**_: Any) -> None:
    _READY.unlink(missing_ok=True)


def _tell_health_check(**_: Any) -> None:
    _READY.touch()


signals.worker_init.connect(_forget_health, weak=False)
signals.worker_ready.connect(_tell_health_check, weak=False)
