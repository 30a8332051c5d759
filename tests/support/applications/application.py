# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application as its processes see it: which backend over which database, and how they are started."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..running.collection import clean_environment
from ..servers import Database
from ..servers.base import with_driver
from .packages import folder_of

Backend = Literal["django-db", "database"]
Serializer = Literal["json", "pickle"]
TESTS = Path(__file__).resolve().parents[2]
PROGRAM = "support.applications.program"
SCHEDULE_PROGRAM = "support.applications.schedule_program"


@dataclass(frozen=True)
class ReadResult:
    """What `AsyncResult` told the application. `exception_*` are None where `.get()` returned a value."""

    state: str
    value: Any
    exception_class: str | None
    """With its module, as `billiard.exceptions.WorkerLostError`."""
    exception_message: str | None


@dataclass(frozen=True)
class Application:
    database: Database
    backend: Backend = "django-db"
    serializer: Serializer = "json"
    result_extended: bool = True
    results_version: str | None = None
    """Of django-celery-results; the installed one where it is None."""
    celery_version: str | None = None
    """Likewise. Up to 5.6 the database backend pickles each result, whatever the serializer; 5.7 does not."""
    beat: bool = False
    """Whether it keeps its schedule in django-celery-beat, which takes the backend `django-db`."""
    beat_version: str | None = None
    """Of django-celery-beat, as the other versions."""
    result_expires: float | None = 86_400.0
    """In seconds; None switches `celery.backend_cleanup` off. This is Celery's own default."""
    beat_schedule: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """As Celery has it, but with `crontab`, a line, instead of `schedule`, which JSON has no form for."""

    def environment(self, broker: Path | None = None) -> dict[str, str]:
        """`broker` is a folder that stands in for a broker; without it, nothing can be sent.

        The settings travel in the environment, which is nobody else's to read; a command line is public.
        """
        folders = [folder_of("celery", self.celery_version)]
        if self.backend == "django-db":
            folders.append(folder_of("django-celery-results", self.results_version))
        if self.beat:
            folders.append(folder_of("django-celery-beat", self.beat_version))
        path = [str(folder) for folder in folders if folder] + [str(TESTS)]
        settings = {
            "database_url": with_driver(self.database.url).render_as_string(hide_password=False),
            "backend": self.backend,
            "serializer": self.serializer,
            "result_extended": self.result_extended,
            "beat": self.beat,
            "result_expires": self.result_expires,
            "beat_schedule": {name: dict(entry) for name, entry in self.beat_schedule.items()},
            "broker": None if broker is None else str(broker),
        }
        return clean_environment(
            {
                "PYTHONPATH": ":".join(path),
                "FLEETOPS_APPLICATION": json.dumps(settings),
                # A worker that reads pickles won't run as root without it; these pickles are our own.
                "C_FORCE_ROOT": "1",
            }
        )

    def run(self, *arguments: str, broker: Path | None = None, program: str = PROGRAM) -> str:
        """Run one command of the application's program in a fresh process; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", program, *arguments],
            env=self.environment(broker),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the application failed at {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def create_tables(self) -> None:
        """By Django's migrations, or by the session manager of Celery's database backend."""
        self.run("create-tables")

    def read(self, task_id: str) -> ReadResult:
        """`AsyncResult(task_id)` in a fresh process: its state, and what `.get()` returns or raises."""
        return ReadResult(**json.loads(self.run("read", task_id)))

    def make_schedule(self, *rows: Mapping[str, Any]) -> None:
        """Rows by the models of django-celery-beat: fields of PeriodicTask, and `crontab`, `interval` or `clocked`."""
        self.run("make", json.dumps(rows), program=SCHEDULE_PROGRAM)

    def read_schedule(self) -> dict[str, dict[str, Any]]:
        """Each periodic task, by name, as the models of django-celery-beat have it."""
        read: dict[str, dict[str, Any]] = json.loads(self.run("read", program=SCHEDULE_PROGRAM))
        return read
