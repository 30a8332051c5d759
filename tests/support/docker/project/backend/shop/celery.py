# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "cleanup-celery-results": {
        "task": "apps.scheduler.tasks.cleanup_celery_results",
        "schedule": crontab(hour=os.environ["NIGHT"], minute="0"),
    },
    # With the one above, ten tasks of the application's own.
    **{
        f"daily-report-{number}": {
            "task": "apps.scheduler.tasks.report",
            "schedule": crontab(hour=os.environ["NIGHT"], minute=str(number)),
            "args": (number,),
        }
        for number in range(1, 10)
    },
}


@signals.worker_ready.connect
@signals.beat_init.connect
def tell_healthcheck(**_: Any) -> None:
    Path("/run/ready").touch()
