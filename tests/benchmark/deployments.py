# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running deployments: how often `migrate` asks Docker, and how long `doctor` takes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from report import Line, Target, seconds
from support.docker import DockerRecorder, provide_images, up
from support.running import PlaybookRun, run_playbook

_WITHIN = Target(at_most=1)
#: Beyond what the steps need.
_MORE_CALLS = 3
_DOCTOR_SECONDS = 3.0
#: To set the schedule, to restart beat and wait until it is well, to see that all runs as before, and to verify.
_STEPS_OF_OLD = 6
#: To see that the schedule is set, and to verify.
_STEPS_OF_MIGRATED = 2


def measure(number: int, rounds: int) -> Iterator[Line]:
    """Migrate *number* deployments that are in their old state, in one inventory; then look the first of them over."""
    images = provide_images()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="fleet-bench-")))
        # Docker's own interval, as in most deployments: one of a second for each container would load the machine.
        coming = [
            up(f"bench-{count}", images, result_expires=86400, health_interval="30s") for count in range(1, number + 1)
        ]
        with ThreadPoolExecutor(number) as pool:
            projects = list(pool.map(stack.enter_context, coming))
        hosts = {
            project.name: {
                "celery_compose_project_dir": str(project.folder),
                "migrate_own_task": {"name": "cleanup-celery-results", "crontab": "0 3 * * *"},
            }
            for project in projects
        }
        inventory = folder / "hosts.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": {"ansible_connection": "local"}}}))
        for state, steps in (("old", _STEPS_OF_OLD), ("migrated", _STEPS_OF_MIGRATED)):
            calls = _calls_of_migrate(inventory, folder, number, changes=state == "old") / number
            yield Line(
                f"calls of docker beyond the {steps} steps, migrate of {number} {state} deployments",
                f"{calls - steps:.1f} each",
                "the limit",
                f"{_MORE_CALLS} each",
                (calls - steps) / _MORE_CALLS,
                _WITHIN,
            )
        doctor = _seconds_of_doctor(inventory, folder, projects[0].name, rounds)
        yield Line(
            "doctor of a healthy deployment beyond a playbook that does nothing",
            seconds(doctor),
            "the limit",
            seconds(_DOCTOR_SECONDS),
            doctor / _DOCTOR_SECONDS,
            _WITHIN,
        )


def _calls_of_migrate(inventory: Path, folder: Path, number: int, *, changes: bool) -> int:
    recorder = DockerRecorder(folder)
    run = _run("fleetops.celery.migrate", inventory, env=recorder.environment)
    changed = sum(host["changed"] > 0 for host in run.recap.values())
    if changed != (number if changes else 0):
        raise RuntimeError(f"migrate changed {changed} of {number} deployments: {run.output}")
    return len(recorder.calls())


def _seconds_of_doctor(inventory: Path, folder: Path, host: str, rounds: int) -> float:
    nothing = folder / "nothing.yml"
    nothing.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {}}]}]))
    with_doctor, without = [], []
    for _round in range(rounds):
        began = time.perf_counter()
        _run(nothing, inventory, limit=host)
        between = time.perf_counter()
        run = _run("fleetops.celery.doctor", inventory, limit=host)
        without.append(between - began)
        with_doctor.append(time.perf_counter() - between)
        (found,) = run.results("deployment_info")
        if found["findings"]:
            raise RuntimeError(f"doctor found something on a healthy deployment: {found['findings']}")
    return median(with_doctor) - median(without)


def _run(
    playbook: str | Path, inventory: Path, *, limit: str = "all", env: dict[str, str] | None = None
) -> PlaybookRun:
    run = run_playbook(playbook, inventory, options=["--limit", limit], env=env)
    if run.exit_code != 0:
        raise RuntimeError(f"the playbook {playbook} failed: {run.output}")
    return run
