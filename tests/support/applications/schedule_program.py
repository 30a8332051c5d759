# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a process of the application: its schedule, written and read by the models of django-celery-beat."""

from __future__ import annotations

import argparse
import json
from typing import Any

from django.core.exceptions import ValidationError  # type: ignore[import-untyped]

from .celery_app import app  # configures Django, which the models need

# Must come after it.
from django_celery_beat.models import (  # type: ignore[import-untyped] # isort: skip
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
)

app.set_default()
_CRONTAB = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def make(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        fields = dict(row)
        if "crontab" in fields:
            line, zone = fields.pop("crontab").split(), fields.pop("timezone", "UTC")
            spec = {**dict(zip(_CRONTAB, line, strict=True)), "timezone": zone}
            fields["crontab"] = CrontabSchedule.objects.get_or_create(**spec)[0]
        if "interval" in fields:
            every, period = fields.pop("interval")
            fields["interval"] = IntervalSchedule.objects.create(every=every, period=period)
        if "clocked" in fields:
            fields["clocked"] = ClockedSchedule.objects.create(clocked_time=fields.pop("clocked"))
        PeriodicTask.objects.create(**fields)


def read() -> dict[str, dict[str, Any]]:
    return {task.name: _read(task) for task in PeriodicTask.objects.all()}


def _read(task: Any) -> dict[str, Any]:
    try:
        task.full_clean()
        if task.crontab:
            task.crontab.full_clean()
        errors = None
    except ValidationError as error:
        errors = str(error)
    fields = ("task", "queue", "priority", "expire_seconds", "enabled", "description", "one_off", "total_run_count")
    return {
        **{name: getattr(task, name) for name in fields},
        "args": json.loads(task.args),
        "kwargs": json.loads(task.kwargs),
        "headers": json.loads(task.headers),
        "schedule": repr(task.schedule),
        "timezone": str(task.crontab.timezone) if task.crontab else None,
        "crontab_id": task.crontab_id,
        "last_run_at": task.last_run_at and task.last_run_at.isoformat(),
        "date_changed": task.date_changed.isoformat(),
        "errors": errors,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["make", "read"])
    parser.add_argument("rows", nargs="?", type=json.loads)
    options = parser.parse_args()
    if options.command == "make":
        make(options.rows)
    else:
        print(json.dumps(read()))


if __name__ == "__main__":
    main()
