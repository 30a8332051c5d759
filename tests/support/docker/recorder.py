# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A `docker` command that writes down what it is asked, and has the real one do it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path


class DockerRecorder:
    """Give its `path` as `docker_cli`, or its `environment` to what looks for `docker` by name."""

    def __init__(self, folder: Path) -> None:
        """
        :param folder: an empty one
        """
        self.path = folder / "docker"
        self._record = folder / "asked"
        real = shutil.which("docker")
        # One line and one write for each call, as several may be made at the same time.
        self.path.write_text(f'#!/bin/sh\necho "$*" >>{self._record}\nexec {real} "$@"\n', encoding="utf-8")
        self.path.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.path.parent}{os.pathsep}{os.environ['PATH']}"}

    def calls(self) -> list[str]:
        """What was asked since the last time, in order: the arguments of each call, but for the project's name."""
        if not self._record.exists():
            return []
        lines = self._record.read_text(encoding="utf-8").splitlines()
        self._record.unlink()
        return [re.sub(r"^compose --project-name \S+(?: --profile=\*)?", "compose", line) for line in lines]
