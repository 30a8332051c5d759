# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a module in a process of its own, without the seconds that packing and connecting would take."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from .collection import clean_environment, link_checkout

# Arguments come over standard input: they contain passwords, and a command line is public.
LAUNCHER = Path(__file__).with_name("module_launcher.py")
FORKS = Path(__file__).with_name("module_forks.py")


class ModuleRun(dict[str, Any]):
    """What a module returned; `output` is all that its process wrote, for a search for secrets."""

    output: str
    exit_code: int


def run_module(
    name: str,
    args: Mapping[str, Any],
    check: bool = False,
    diff: bool = False,
    env: dict[str, str] | None = None,
    python: str = sys.executable,
) -> ModuleRun:
    """Run `fleetops.celery.<name>`; a module that fails returns `failed: true` as usual and raises nothing."""
    done = subprocess.run(
        [python, str(LAUNCHER), f"ansible_collections.fleetops.celery.plugins.modules.{name}"],
        input=json.dumps(_arguments(args, check, diff)),
        env=clean_environment({"PYTHONPATH": str(link_checkout()), **(env or {})}),
        capture_output=True,
        text=True,
        check=False,
    )
    return _result(name, done.returncode, done.stdout, done.stderr)


class ModuleForks:
    """Runs modules in forks of one process: for many short runs, where the imports would take most of the time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(FORKS)],
            env=clean_environment({"PYTHONPATH": str(link_checkout())}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.communicate()

    def run(self, name: str, args: Mapping[str, Any], check: bool = False, diff: bool = False) -> ModuleRun:
        """The same as `run_module`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"name": name, "args": _arguments(args, check, diff)}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return _result(name, *json.loads(self._process.stdout.readline()))


def _arguments(args: Mapping[str, Any], check: bool, diff: bool) -> dict[str, Any]:
    return {
        **args,
        "_ansible_check_mode": check,
        "_ansible_diff": diff,
        "_ansible_verbosity": 3,
        "_ansible_inject_invocation": True,
    }


def _result(name: str, exit_code: int, stdout: str, stderr: str) -> ModuleRun:
    output = stdout + stderr
    try:
        result = ModuleRun(json.loads(stdout))
    except ValueError:
        raise AssertionError(f"{name} ended with {exit_code} and returned no JSON:\n{output}") from None
    result.output, result.exit_code = output, exit_code
    return result
