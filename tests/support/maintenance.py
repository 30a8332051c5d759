# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker of an application that has the maintenance package on its path, and tasks sent to it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .applications import Application
from .command import command_file
from .running import CHECKOUT

_READY = " ready."
# In a fresh process of the application: sends the task and prints what it returned, or how it failed.
_CALL = """
import json, sys
from celery.exceptions import TimeoutError
from support.applications.celery_app import app
name, kwargs, seconds = json.loads(sys.stdin.read())
sent = app.send_task(name, kwargs=kwargs)
try:
    value = sent.get(timeout=seconds, propagate=False)
except TimeoutError:
    value = None
print(json.dumps({"state": sent.state, "value": str(value) if sent.failed() else value}))
"""


def maintenance_path() -> str:
    """What the role beat_schedule puts onto the path of an application's workers."""
    return f"{command_file()}:{CHECKOUT / 'roles' / 'beat_schedule' / 'files' / 'plugin'}"


class MaintenanceWorker:
    """Runs until the end of the `with`. It has the application's code and command; only its environment is more."""

    def __init__(self, application: Application, policy: str | Path, level: str = "INFO") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fleet-maintenance-")
        self._broker, self._log = Path(self._folder.name, "broker"), Path(self._folder.name, "log")
        environment = application.environment(self._broker)
        environment["PYTHONPATH"] = f"{maintenance_path()}:{environment['PYTHONPATH']}"
        environment["CELERY_MAINTENANCE_POLICY"] = str(policy)
        self.environment = environment
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "support.applications.celery_app", "worker", "--pool=threads",
                 "--concurrency=2", "--without-mingle", "--without-gossip", "--without-heartbeat",
                 f"--loglevel={level}"],
                cwd=self._folder.name,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    def __enter__(self) -> Self:
        try:
            self.wait_for(_READY, 60)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def call(self, name: str, seconds: float = 60, **kwargs: Any) -> dict[str, Any]:
        """Send the task and wait: its `state`, and its `value`, or the text of its error, or None where it goes on."""
        done = subprocess.run(
            [sys.executable, "-c", _CALL],
            input=json.dumps([f"celery_maintenance.{name}", kwargs, seconds]),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr[-2000:]}\n{self.log[-6000:]}"
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.log:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the worker did not say {text!r} within {seconds} s:\n{self.log[-6000:]}")
            time.sleep(0.1)

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            self._folder.cleanup()
