# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unit tests, module tests against real databases, and tests on Docker Compose."""

from __future__ import annotations

import os
from collections.abc import Sequence
from xml.etree import ElementTree

import docker_engine
import workspace
from environments import Environment
from steps import Log, Outcome

# What runs without Ansible, and so in processes of its own, takes as long as all the rest.
_BY_ITSELF = [f"tests/integration/{name}" for name in ("celery_tasks", "command", "cron", "package", "tracking")]
#: The arguments that choose each half of the tests, to be run side by side.
HALVES = {"tests": [f"--ignore={path}" for path in _BY_ITSELF], "tests of what runs by itself": _BY_ITSELF}

_MAY_SKIP = "a part is missing; in CI that is a failure"


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def compose(environment: Environment, log: Log, arguments: Sequence[str] = ()) -> Outcome:
    """Needs no more than `run` does, but by far the most time for each test."""
    try:
        # Here and not by pytest, so that the engine lasts for every step that needs it.
        docker_engine.start()
    except docker_engine.NoDocker as error:
        log.write(str(error))
    return run(environment, log, ["tests/compose", *arguments], name="compose")


def run(environment: Environment, log: Log, arguments: Sequence[str] = (), name: str = "pytest") -> Outcome:
    report = workspace.BUILD / "reports" / f"{name}.xml"
    report.unlink(missing_ok=True)
    environ = environment.environ(workspace.link())
    # Commands that a test starts by name are those of this environment.
    command = [
        environment.python,
        "-m",
        "pytest",
        "--color=no",
        "--verbose",
        "--durations=10",
        f"--junitxml={report}",
        *arguments,
    ]
    done = log.run(command, environ=environ)
    outcome = read(report) if report.exists() else Outcome()
    if not done.ok and not outcome.failed:
        outcome.add(False, f"pytest ended with status {done.status}")
    return outcome


def read(report: os.PathLike[str]) -> Outcome:
    """Counts a JUnit report; in CI a test that was left out counts as failed."""
    outcome = Outcome()
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.add(False, name)
        elif skipped is None:
            outcome.add(True)
        else:
            skip(outcome, name, str(skipped.get("message")))
    return outcome


def skip(outcome: Outcome, name: str, why: str) -> None:
    """Count what was left out: in CI it has failed."""
    if in_ci():
        outcome.add(False, f"{name} was skipped: {why} ({_MAY_SKIP})")
    else:
        outcome.skipped += 1
        outcome.notes.append(f"skipped: {name}: {why}")
