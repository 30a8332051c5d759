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
from typing import Any

from .collection import clean_environment, link_checkout

# Arguments come over standard input: they contain passwords, and a command line is public.
LAUNCHER = Path(__file__).with_name("module_launcher.py")


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
    internal = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_verbosity": 3}
    done = subprocess.run(
        [python, str(LAUNCHER), f"ansible_collections.fleetops.celery.plugins.modules.{name}"],
        input=json.dumps({**args, **internal}),
        env=clean_environment({"PYTHONPATH": str(link_checkout()), **(env or {})}),
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    try:
        result = ModuleRun(json.loads(done.stdout))
    except ValueError:
        raise AssertionError(f"{name} ended with {done.returncode} and returned no JSON:\n{output}") from None
    result.output, result.exit_code = output, done.returncode
    return result
