# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts that come from the operating system."""

from __future__ import annotations

import os
import shutil

from steps import Log, Outcome
from suite import in_ci
from workspace import ROOT

# A program that shows that the part is here, and what the tests lose without it.
_PROGRAMS = {
    "git": "no check can list the files",
    "mariadbd": "the tests on MariaDB are left out",
}


def _missing() -> list[str]:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return [name for name in _PROGRAMS if not shutil.which(name, path=path)]


def run(log: Log) -> Outcome:
    if _missing() and os.geteuid() == 0 and shutil.which("apt-get") and os.environ.get("PARTS") != "no":
        log.run([ROOT / "tests" / "tools" / "install_parts"])
    outcome = Outcome()
    for name in _missing():
        note = f"{name} is missing: {_PROGRAMS[name]} (tests/tools/install_parts installs it on Debian, as root)"
        if in_ci() or name == "git":
            outcome.add(False, note)
        else:
            outcome.skipped += 1
            outcome.notes.append(note)
    outcome.passed = len(_PROGRAMS) - outcome.failed - outcome.skipped
    return outcome
