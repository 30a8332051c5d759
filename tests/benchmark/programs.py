# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting the two programs that delete: each measures its own call only, in a process that is already set up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Measured:
    seconds: float
    deleted: int
    longest: float
    """The longest single transaction, in seconds."""
    peak_bytes: int = 0
    """The most memory that the process had."""


def run(program: str, environment: Mapping[str, str], order: Mapping[str, Any]) -> Measured:
    """Run one of the programs beside this file; the order goes over standard input, as it may hold a password."""
    done = subprocess.run(
        [sys.executable, str(HERE / program)],
        input=json.dumps(order),
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")
    return Measured(**json.loads(done.stdout))
