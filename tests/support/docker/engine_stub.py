# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A `docker` command that tells of containers which are nowhere, for states that no test could bring about in time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine.docker import PROJECT_LABEL, Container, Docker

_COMMAND = """#!/bin/sh
echo "$1" >>{folder}/asked
case $1 in
  ps) cat {folder}/ids ;;
  inspect) cat {folder}/descriptions ;;
  exec) cat {folder}/$2 ;;
esac
"""


def describe(
    identifier: str, hostname: str, *, state: str = "running", project: str = "shop", started: str = ""
) -> dict[str, Any]:
    """What `docker inspect` says of a container."""
    return {
        "Id": identifier,
        "Config": {"Hostname": hostname, "Labels": {PROJECT_LABEL: project}},
        "State": {"Status": state, "StartedAt": started or "2026-11-01T00:00:00Z"},
    }


class EngineStub:
    """Give its `docker` where the engine asks Docker.

    :param folder: an empty one
    :param processes: those in each container that can be asked, by its id
    """

    def __init__(self, folder: Path, *containers: dict[str, Any], processes: dict[str, list[int]] | None = None) -> None:
        self._folder = folder
        (folder / "ids").write_text("".join(f"{one['Id']}\n" for one in containers), encoding="utf-8")
        (folder / "descriptions").write_text(json.dumps(containers), encoding="utf-8")
        for identifier, pids in (processes or {}).items():
            (folder / identifier).write_text("".join(f"{pid}\n" for pid in pids) + "meminfo\n", encoding="utf-8")
        command = folder / "docker"
        command.write_text(_COMMAND.format(folder=folder), encoding="utf-8")
        command.chmod(0o755)
        self.docker = Docker(str(command))
        self.containers = [Container(one) for one in containers]

    def asked(self) -> list[str]:
        """Which of its verbs, in order."""
        path = self._folder / "asked"
        return path.read_text(encoding="utf-8").split() if path.exists() else []
