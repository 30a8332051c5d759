# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows by a real worker: it runs some tasks, and is killed amid others so that they stay STARTED."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .application import Application


@dataclass(frozen=True)
class WorkerIds:
    """Task ids of the rows that the worker left behind."""

    success: str
    failure: str
    revoked: str
    hanging: str
    """STARTED for ever: the worker was killed while it ran."""
    group: str
    """A saved group, id of the group; its members have succeeded."""
    group_members: list[str]
    finished_chord: str
    """The chord's body, which has succeeded."""
    finished_chord_members: list[str]
    stuck_chord: str
    """The body of a chord that waits for a member which hangs: it has no row yet."""
    stuck_chord_finished_member: str
    stuck_chord_hanging_member: str

    def expected_states(self) -> dict[str, str]:
        succeeded = [self.success, *self.group_members, self.finished_chord, *self.finished_chord_members]
        return {
            **dict.fromkeys([*succeeded, self.stuck_chord_finished_member], "SUCCESS"),
            self.failure: "FAILURE",
            self.revoked: "REVOKED",
            self.hanging: "STARTED",
            self.stuck_chord_hanging_member: "STARTED",
        }


def run_worker(application: Application, seconds: float = 60.0) -> WorkerIds:
    """Send the tasks, run a worker until each has its state, and kill it as the kernel would when memory is short."""
    with tempfile.TemporaryDirectory(prefix="fleet-worker-") as folder:
        broker, log = Path(folder, "broker"), Path(folder, "log")
        ids = WorkerIds(**json.loads(application.run("send", broker=broker)))
        with log.open("wb") as output:
            worker = subprocess.Popen(
                # Two processes hang at the end; a third keeps polling for the chord.
                [sys.executable, "-m", "celery", "-A", "support.applications.celery_app", "worker", "--pool=prefork",
                 "--concurrency=3", "--without-mingle", "--without-gossip", "--without-heartbeat", "--loglevel=INFO"],
                cwd=folder,
                env=application.environment(broker),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A process group of its own, so that the children die with it.
                start_new_session=True,
            )  # fmt: skip
        try:
            _wait_for_states(application, ids, worker, log, seconds)
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
    return ids


def _wait_for_states(
    application: Application, ids: WorkerIds, worker: subprocess.Popen[bytes], log: Path, seconds: float
) -> None:
    expected = ids.expected_states()
    deadline = time.monotonic() + seconds
    states: dict[str, str] = {}
    while time.monotonic() < deadline and worker.poll() is None:
        states = _states(application, list(expected))
        if states == expected:
            return
        time.sleep(0.2)
    missing = {task_id: state for task_id, state in expected.items() if states.get(task_id) != state}
    raise RuntimeError(f"the worker did not get to {missing}, had {states}: {log.read_text(errors='replace')[-8000:]}")


def _states(application: Application, ids: list[str]) -> dict[str, str]:
    table = "django_celery_results_taskresult" if application.backend == "django-db" else "celery_taskmeta"
    rows = application.database.execute(f"SELECT task_id, status FROM {table}")
    return {task_id: status for task_id, status in rows if task_id in ids}
