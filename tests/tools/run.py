# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prepares what a goal of the Makefile needs, and runs it. Only Python's own library is needed to start."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import environments
import interpreters
import lint
import package
import parts
import sanity
import scenarios
import steps
import suite
import workspace
from environments import Environment
from steps import Log, Outcome, Step

MAIN, DEMO = environments.main(), environments.demo()
GOALS = ("test", "lint", "unit", "sanity", "package", "molecule", "compose", "demo", "bench", "docs")


def _ready(environment: Environment) -> Step:
    def prepare(log: Log) -> Outcome:
        environment.prepare(log)
        workspace.link()
        return Outcome(passed=1)

    return Step(f"environment {environment.path.name}", prepare)


def _lint() -> list[Step]:
    return [
        Step("lint python", partial(lint.python, MAIN)),
        Step("lint documentation", partial(lint.documentation, MAIN)),
        Step("lint ansible", partial(lint.ansible, MAIN)),
    ]


def _sanity() -> list[Step]:
    return [Step(f"sanity {core.label}", partial(sanity.run, core)) for core in environments.cores()]


def _package() -> Step:
    return Step("package", partial(package.run, environments.cores()))


def _groups(goal: str, arguments: list[str]) -> list[list[Step]]:
    tests = Step("tests", partial(suite.run, MAIN, arguments=arguments))
    at_work, by_itself = (
        Step(name, partial(suite.run, MAIN, arguments=[*chosen, *arguments], name=name.replace(" ", "-")))
        for name, chosen in suite.HALVES.items()
    )
    compose = Step("compose", partial(suite.compose, MAIN, arguments=[] if goal == "test" else arguments))
    molecule = Step("molecule", partial(scenarios.run, MAIN))
    every = [_ready(environment) for environment in environments.cores()]
    groups: dict[str, Callable[[], list[list[Step]]]] = {
        "test": lambda: [
            [Step("parts", parts.run)],
            every,
            # The longest first, and beside it everything else.
            [at_work, by_itself, compose, *_lint(), *_sanity(), _package(), molecule],
        ],
        "lint": lambda: [[_ready(MAIN)], _lint()],
        "unit": lambda: [[_ready(MAIN)], [tests]],
        "sanity": lambda: [every, _sanity()],
        "package": lambda: [every, [_package()]],
        "molecule": lambda: [[_ready(MAIN)], [molecule]],
        "compose": lambda: [[_ready(MAIN)], [compose]],
    }
    return groups[goal]()


def _program(environment: Environment, command: list[str]) -> int:
    """Runs a program of the project with an environment's Python, and its output goes straight to the reader."""
    environment.prepare(Log(workspace.LOGS / "environment.log", live=True))
    environ = environment.environ(workspace.link())
    for name in ("ANSIBLE_NOCOLOR", "NO_COLOR"):
        if name not in os.environ:
            del environ[name]
    return subprocess.run([environment.python, *command], cwd=workspace.ROOT, env=environ, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("goal", choices=GOALS)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="steps side by side")
    options, arguments = parser.parse_known_args()
    try:
        if options.goal == "demo":
            return _program(DEMO, ["demo/run", *arguments])
        if options.goal == "bench":
            return _program(environments.bench(), ["tests/benchmark", *arguments])
        if options.goal == "docs":
            return _program(DEMO, ["tests/tools/role_readme.py", *arguments])
        return steps.run(_groups(options.goal, arguments), jobs=options.jobs)
    except (interpreters.NoInterpreter, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
