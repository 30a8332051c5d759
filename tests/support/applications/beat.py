# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real `celery beat` with django-celery-beat's scheduler: started, its log read, stopped, started again."""

from __future__ import annotations

import json
from typing import Any

from .application import Application
from .process import CeleryProcess

SCHEDULE_CHANGED = "DatabaseScheduler: Schedule changed."


class RunningBeat(CeleryProcess):
    """Beat of one application, from the moment in which it has read its schedule."""

    # The scheduler says it when the default entries and those of the application are in the database.
    ready = "beat: Ticking with max interval"

    def __init__(self, application: Application, max_interval: int = 1) -> None:
        """*max_interval* is how often beat looks for changes, in seconds; 5 unless told."""
        super().__init__(
            ["beat", "--scheduler", "django_celery_beat.schedulers:DatabaseScheduler",
             f"--max-interval={max_interval}", "--loglevel=DEBUG", "--pidfile="],
            application.environment,
        )  # fmt: skip

    def loaded(self) -> set[str]:
        """The names of the entries that beat last read from the database; at its start, before it adds its own."""
        _before, _found, schedule = self.log.rpartition("Current schedule:\n")
        entries = [line.split() for line in schedule.splitlines() if line.startswith("<ModelEntry: ")]
        return {entry[1] for entry in entries}

    def sent(self) -> list[dict[str, Any]]:
        """The messages that wait in its queues, each with the queue's name as `queue`, decoded."""
        found = []
        for path in sorted((self._broker / "queue").glob("*.msg")):
            message = json.loads(path.read_text())
            found.append({**message, "queue": path.name.split(".")[-2]})
        return found
