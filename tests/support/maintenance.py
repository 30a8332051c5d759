# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker of an application that has the maintenance package on its path, and tasks sent to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .applications import Application
from .applications.process import CeleryProcess
from .command import command_file
from .running import CHECKOUT

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


class MaintenanceWorker(CeleryProcess):
    """It has the application's code and command; only its environment is more."""

    ready = " ready."

    def __init__(self, application: Application, policy: str | Path, level: str = "INFO") -> None:
        super().__init__(
            ["worker", "--pool=threads", "--concurrency=2", "--without-mingle", "--without-gossip",
             "--without-heartbeat", f"--loglevel={level}"],
            lambda broker: _with_maintenance(application.environment(broker), policy),
        )  # fmt: skip

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


def _with_maintenance(environment: dict[str, str], policy: str | Path) -> dict[str, str]:
    return {
        **environment,
        "PYTHONPATH": f"{maintenance_path()}:{environment['PYTHONPATH']}",
        "CELERY_MAINTENANCE_POLICY": str(policy),
    }
