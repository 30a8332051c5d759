# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real `celery beat` with django-celery-beat's scheduler: started, its log read, stopped, started again."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .application import Application

SCHEDULE_CHANGED = "DatabaseScheduler: Schedule changed."
# The scheduler says it when the default entries and those of the application are in the database.
_READY = "beat: Ticking with max interval"


class RunningBeat:
    """Beat of one application, from the moment in which it has read its schedule to the end of the `with`."""

    def __init__(self, application: Application, max_interval: int = 1) -> None:
        """*max_interval* is how often beat looks for changes, in seconds; 5 unless told."""
        self._folder = tempfile.TemporaryDirectory(prefix="fleet-beat-")
        self._broker, self._log = Path(self._folder.name, "broker"), Path(self._folder.name, "log")
        self._log.touch()
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "support.applications.celery_app", "beat",
                 "--scheduler", "django_celery_beat.schedulers:DatabaseScheduler", f"--max-interval={max_interval}",
                 "--loglevel=DEBUG", "--pidfile="],
                cwd=self._folder.name,
                env=application.environment(self._broker),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    def __enter__(self) -> Self:
        try:
            self.wait_for(_READY, seconds=60)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """As `docker compose stop` does: beat saves what it has run, and ends."""
        self._process.terminate()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
            self._folder.cleanup()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float, after: int = 0) -> float:
        """Wait until the log has *text* behind the first *after* characters; the seconds that it took."""
        started = time.monotonic()
        while text not in self.log[after:]:
            if self._process.poll() is not None or time.monotonic() > started + seconds:
                raise AssertionError(f"beat did not say {text!r} within {seconds} s:\n{self.log[-6000:]}")
            time.sleep(0.05)
        return time.monotonic() - started

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
