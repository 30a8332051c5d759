# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-test sanity, with nothing ignored."""

from __future__ import annotations

import re
from pathlib import Path

import workspace
from environments import Environment
from steps import Log, Outcome

# ansible-test fetches get-pip from a host of its own; Python brings the same with it.
_GET_PIP = """\
import ensurepip

ensurepip.bootstrap(upgrade=True, default_pip=True)
"""
_STARTED = re.compile(r'^Running sanity test "(.+)$', re.MULTILINE)
_FAILED = re.compile(r"^(?:ERROR|FATAL): The \d+ sanity test\(s\) listed below .*\n((?:^[a-z].*\n)+)", re.MULTILINE)
_PIP_SETTING = re.compile(r"^(?:global|install|:env:)\.([a-z-]+)='(.*)'$", re.MULTILINE)


def _home(environment: Environment, log: Log, core: str) -> Path:
    """A home directory of its own: virtual environments and caches stay in the build folder."""
    home = workspace.BUILD / f"home-{core}"
    package = log.run([environment.python, "-c", "import ansible_test; print(*ansible_test.__path__)"]).output
    source = Path(package.strip()) / "_internal" / "python_requirements.py"
    version = re.search(r"pip='([0-9.]+)'", source.read_text(encoding="utf-8"))
    if not version:
        raise RuntimeError(f"{source} names no version of pip")
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"get_pip_{version[1].replace('.', '_')}.py").write_text(_GET_PIP, encoding="utf-8")
    # ansible-test hands no PIP_ variable on, and the user's own configuration is out of sight from here.
    listed = log.run([environment.python, "-m", "pip", "config", "list"]).output
    settings = dict(_PIP_SETTING.findall(listed))
    lines = ["[global]", *(f"{name} = " + value.replace("\\n", "\n    ") for name, value in settings.items())]
    (home / ".config" / "pip").mkdir(parents=True, exist_ok=True)
    (home / ".config" / "pip" / "pip.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return home


def ignored() -> list[str]:
    """Entries of ignore files: there are to be none."""
    found = []
    for file in sorted((workspace.ROOT / "tests" / "sanity").glob("ignore*.txt")):
        lines = file.read_text(encoding="utf-8").splitlines()
        found += [f"{file.name}: {line}" for line in lines if line.strip() and not line.startswith("#")]
    return found


def tally(output: str) -> Outcome:
    """Counts the tests that ansible-test says it ran, and those that it lists as failed."""
    ran = _STARTED.findall(output)
    listed = _FAILED.search(output)
    failures = listed[1].splitlines() if listed else []
    outcome = Outcome(passed=len(ran) - len(failures), failed=len(failures), notes=failures)
    if not ran:
        outcome.add(False, "ansible-test ran nothing")
    return outcome


def run(environment: Environment, log: Log) -> Outcome:
    core = environment.core(log)
    place = workspace.copy(f"sanity-{core}")
    home = _home(environment, log, core)
    environ = environment.environ(place.parents[2], home=home)
    command = [environment.bin("ansible-test"), "sanity", "--venv", "--color", "no"]
    done = log.run(command, environ=environ, cwd=place)
    outcome = tally(done.output)
    if not done.ok and not outcome.failed:
        outcome.add(False, f"ansible-test on ansible-core {core} ended with status {done.status}")
    for entry in ignored():
        outcome.add(False, f"ignored: {entry}")
    return outcome
