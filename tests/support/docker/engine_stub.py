# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A `docker` command that tells of containers which are nowhere, for states that no test could bring about in time."""

# mypy looks at the tests apart from the collection.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine.docker import (
    FOLDER_LABEL,
    PROJECT_LABEL,
    Container,
    Docker,
)

_COMMAND = r"""#!/bin/sh
echo "$*" >>{folder}/asked
case "$*" in
  *--quiet) cat {folder}/ids ;;
  ps*) cat {folder}/listed ;;
  inspect*) cat {folder}/descriptions ;;
  exec\ --interactive*) cat {folder}/$3.told ;;
  exec*) cat {folder}/$2 ;;
  *config*) cat {folder}/configured ;;
esac
"""


def describe(
    identifier: str,
    hostname: str = "",
    *,
    state: str = "running",
    project: str = "shop",
    started: str = "2026-11-01T00:00:00Z",
    command: Sequence[str] = (),
    image: str = "",
    **labels: str,
) -> dict[str, Any]:
    """What `docker inspect` says of a container.

    :param labels: those of Compose, beside the project's name
    """
    of_compose = {"project": project, **labels}
    return {
        "Id": identifier,
        "Name": f"/{project}-{labels.get('service', identifier)}-1",
        "Path": command[0] if command else "",
        "Args": list(command[1:]),
        "Config": {
            "Hostname": hostname,
            "Image": image,
            "Labels": {f"com.docker.compose.{name}": value for name, value in of_compose.items()},
        },
        "State": {"Status": state, "StartedAt": started},
    }


class EngineStub:
    """Give its `docker` where the engine asks Docker.

    :param folder: an empty one
    :param processes: those in each container that can be asked, by its id
    :param told: what the application in each container that can be asked says of itself, by its id
    """

    def __init__(
        self,
        folder: Path,
        *containers: dict[str, Any],
        processes: dict[str, list[int]] | None = None,
        told: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self._folder = folder
        (folder / "ids").write_text("".join(f"{one['Id']}\n" for one in containers), encoding="utf-8")
        (folder / "descriptions").write_text(json.dumps(containers), encoding="utf-8")
        listed = ["\t".join(_listed(one)) + "\n" for one in containers]
        (folder / "listed").write_text("".join(listed), encoding="utf-8")
        for identifier, pids in (processes or {}).items():
            (folder / identifier).write_text("".join(f"{pid}\n" for pid in pids) + "meminfo\n", encoding="utf-8")
        for identifier, configuration in (told or {}).items():
            said = f"fleetops.celery:{json.dumps(configuration)}\n"
            (folder / f"{identifier}.told").write_text(said, encoding="utf-8")
        command = folder / "docker"
        command.write_text(_COMMAND.format(folder=folder), encoding="utf-8")
        command.chmod(0o755)
        self.docker = Docker(str(command))
        self.containers = [Container(one) for one in containers]

    def asked(self) -> list[str]:
        """What it was asked since the last time, in order: the arguments of each call."""
        path = self._folder / "asked"
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        path.unlink()
        return lines


def _listed(description: dict[str, Any]) -> list[str]:
    labels = description["Config"]["Labels"]
    return [description["Id"], description["State"]["Status"], labels[PROJECT_LABEL], labels.get(FOLDER_LABEL, "")]
