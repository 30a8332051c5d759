# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `docker` command, as a function."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import IO, Any


def docker(*arguments: str, cwd: Path | None = None, stdin: IO[Any] | None = None) -> str:
    """Run it; what it printed. Raises RuntimeError with its words where it fails."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=cwd,
        # The classic builder takes a base image that no registry has, and needs no plugin.
        # PWD as a shell sets it: Compose goes by it, so a folder that is a symbolic link keeps its name.
        env={**os.environ, "DOCKER_BUILDKIT": "0", "COMPOSE_ANSI": "never", "PWD": str(cwd or os.getcwd())},
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"docker {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()[-4000:]}")
    return done.stdout
