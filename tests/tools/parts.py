# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts that come from the operating system."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import docker_engine
import environments
import interpreters
from steps import Log, Outcome
from suite import in_ci
from workspace import ROOT

_HELP = "tests/tools/install_parts, as root on Debian, installs it"


def _missing_of_the_system() -> dict[str, str]:
    """What `install_parts` installs, and what the tests lose without it."""
    missing = {}
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    if not shutil.which("mariadbd", path=path):
        missing["mariadbd"] = f"the tests on MariaDB are left out; {_HELP}"
    if not shutil.which("pgbouncer", path=path):
        missing["pgbouncer"] = f"the tests behind a pooler are left out; {_HELP}"
    if not list(Path("/usr/share/postgresql").glob("*/extension/pg_repack.control")):
        missing["pg_repack"] = f"the tests on the system's PostgreSQL with pg_repack are left out; {_HELP}"
    if not all(shutil.which(program, path=path) for program in ("cron", "logrotate")):
        missing["cron"] = f"the tests with a real cron are left out; {_HELP}"
    if lack := docker_engine.missing():
        missing[lack] = f"the tests on Docker Compose are left out; {_HELP}"
    return missing


def _missing() -> dict[str, str]:
    missing = _missing_of_the_system()
    for core, versions in (("newest", environments.NEWEST), ("oldest", environments.OLDEST)):
        try:
            interpreters.first(versions)
        except interpreters.NoInterpreter:
            missing[f"Python {' or '.join(versions)}"] = f"the {core} ansible-core is left out"
    return missing


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None and os.environ.get("PARTS") != "no"


def run(log: Log) -> Outcome:
    if _missing_of_the_system() and _may_install():
        log.run([ROOT / "tests" / "tools" / "install_parts"])
    outcome = Outcome()
    for name, loss in _missing().items():
        if in_ci():
            outcome.add(False, f"{name} is missing: {loss}")
        else:
            outcome.skipped += 1
            outcome.notes.append(f"{name} is missing: {loss}")
    return outcome
