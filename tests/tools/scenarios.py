# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule scenarios, and proof that each of them did something.

Molecule ends well when no host matched and nothing ran; so the plays' own recaps are counted.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import docker_engine
import suite
import workspace
from environments import Environment
from steps import Log, Outcome

_ACTION = re.compile(r"\[(?P<scenario>[\w-]+) > (?P<action>\w+)\] Executing")
_RECAP = re.compile(r"\bok=(?P<ok>\d+)\s+changed=\d+\s+unreachable=(?P<unreachable>\d+)\s+failed=(?P<failed>\d+)")
_TOTALS = re.compile(r"^(?P<scenario>[\w-]+)\s+: actions=\d+ .*\bfailed=(?P<failed>\d+)", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PROVES = ("converge", "verify")
_NEEDS_DOCKER = "compose_"


def tasks_done(output: str) -> Counter[tuple[str, str]]:
    """How many tasks went well, by scenario and action."""
    done: Counter[tuple[str, str]] = Counter()
    current = ("", "")
    for line in output.splitlines():
        if action := _ACTION.search(line):
            current = (action["scenario"], action["action"])
        elif recap := _RECAP.search(line):
            done[current] += int(recap["ok"])
    return done


def _without_docker(names: list[str], log: Log, outcome: Outcome) -> list[str]:
    """Start Docker; the scenarios that have to be left out where there is none."""
    try:
        docker_engine.start()
    except docker_engine.NoDocker as error:
        log.write(str(error))
        left_out = [name for name in names if name.startswith(_NEEDS_DOCKER)]
        for name in left_out:
            suite.skip(outcome, f"scenario {name}", str(error))
        return left_out
    return []


def run(environment: Environment, log: Log) -> Outcome:
    outcome = Outcome()
    place = workspace.copy("molecule")
    # The default scenario only makes and removes what the others share.
    names = sorted(file.parent.name for file in place.glob("extensions/molecule/*/molecule.yml"))
    names = [name for name in names if name != "default"]
    excluded = _without_docker(names, log, outcome)
    names = [name for name in names if name not in excluded]
    home = workspace.BUILD / "home-molecule"
    shutil.rmtree(home, ignore_errors=True)
    environ = environment.environ(place.parents[2], home=home)
    # With the home, docker would lose its plugins, and the way to its engine.
    environ.setdefault("DOCKER_CONFIG", str(Path.home() / ".docker"))
    # Only the root of the collection will do: started elsewhere, molecule overlooks config.yml.
    command = [environment.bin("molecule"), "test", "--all", "--report", "--no-command-borders"]
    command += [f"--exclude={name}" for name in excluded]
    result = log.run(command, environ=environ, cwd=place)
    output = _COLOUR.sub("", result.output)
    totals = {total["scenario"]: int(total["failed"]) for total in _TOTALS.finditer(output)}
    done = tasks_done(output)
    for name in names:
        outcome.add(totals.get(name) == 0, f"scenario {name}: {totals.get(name, 'no')} actions failed")
        for action in _PROVES:
            outcome.add(done[name, action] > 0, f"scenario {name}: {action} did nothing")
    if not result.ok and not outcome.failed:
        outcome.add(False, f"molecule ended with status {result.status}")
    outcome.add(bool(names), "there is no scenario")
    return outcome
