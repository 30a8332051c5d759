# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking the Docker engine about containers, through the ``docker`` command.

Nothing secret is ever an argument: the command is only asked to show things.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

from .errors import CleanupError, UsageError

_TIMEOUT = 60  # seconds
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
FOLDER_LABEL = "com.docker.compose.project.working_dir"


class Container:
    """A running container, as ``docker inspect`` describes it."""

    def __init__(self, description: dict[str, Any]) -> None:
        self._description = description
        config = description.get("Config") or {}
        self.identifier: str = description["Id"]
        self.name: str = description.get("Name", "").lstrip("/")
        self.image: str = config.get("Image", "")
        self.labels: dict[str, str] = config.get("Labels") or {}
        pairs = (entry.partition("=") for entry in config.get("Env") or ())
        self.environment: dict[str, str] = {name: value for name, _sign, value in pairs}

    @property
    def service(self) -> str:
        return self.labels.get(SERVICE_LABEL, "")

    def published(self, port: int) -> tuple[str, int] | None:
        """Return the host's address and port that lead to *port* (TCP)."""
        ports = (self._description.get("NetworkSettings") or {}).get("Ports") or {}
        for binding in ports.get(f"{port}/tcp") or ():
            address = binding.get("HostIp") or "0.0.0.0"
            # Published on every address: the loopback one is always there.
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
            return host, int(binding["HostPort"])
        return None

    @property
    def address(self) -> str | None:
        """The container's own address on a network of its host."""
        networks = (self._description.get("NetworkSettings") or {}).get("Networks") or {}
        addresses = (network.get("IPAddress") for network in networks.values())
        return next((address for address in addresses if address), None)


class Docker:
    """The ``docker`` command of this host.

    :param cli: the command; looked for in the search path where ``None``
    :raises UsageError: when there is none
    """

    def __init__(self, cli: str | None = None) -> None:
        found = shutil.which(cli or "docker")
        if found is None:
            raise UsageError(
                f"The command {cli} cannot be run. Check docker_cli."
                if cli
                else "There is no docker command in the search path of the host where this ran. "
                "Install Docker's command there, or name it in docker_cli."
            )
        self._cli = found

    def running(self, labels: dict[str, str]) -> list[Container]:
        """Return the running containers that have all *labels*."""
        filters = (f"label={name}={value}" for name, value in labels.items())
        return self._inspect(self._listed(filters))

    def projects(self) -> list[str]:
        """Return the names of the Compose projects that run."""
        form = f'{{{{.Label "{PROJECT_LABEL}"}}}}'
        said = self._run(["ps", "--filter", f"label={PROJECT_LABEL}", "--format", form])
        return sorted({line for line in said.splitlines() if line})

    def read_file(self, container: Container, path: str) -> str:
        """Return the text of a file in a running container."""
        return self._run(["exec", container.identifier, "cat", "--", path])

    def _listed(self, filters: Iterable[str]) -> list[str]:
        options = [word for one in filters for word in ("--filter", one)]
        return self._run(["ps", "--quiet", "--no-trunc", *options]).split()

    def _inspect(self, identifiers: Sequence[str]) -> list[Container]:
        if not identifiers:
            return []
        said = self._run(["inspect", "--type", "container", *identifiers])
        return [Container(description) for description in json.loads(said)]

    def _run(self, arguments: list[str]) -> str:
        try:
            done = subprocess.run(
                [self._cli, *arguments],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise CleanupError(
                f"The Docker engine did not answer '{self._cli} {arguments[0]}' within {_TIMEOUT} s."
            ) from None
        except OSError as error:
            raise CleanupError(f"{self._cli} cannot be run: {error.strerror}.") from None
        if done.returncode:
            raise CleanupError(_explain(self._cli, arguments[0], done.stderr))
        return done.stdout


def _explain(cli: str, verb: str, said: str) -> str:
    lines = said.strip().splitlines()
    text = lines[-1].rstrip(".") if lines else "it said nothing"
    if "permission denied" in said.lower():
        return (
            f"'{cli} {verb}' was refused: {text}. The user has no rights to the Docker engine's "
            "socket: use become, or add the user to the group docker."
        )
    if "Cannot connect" in said or "Is the docker daemon running" in said:
        return f"'{cli} {verb}' reached no Docker engine: {text}. Start the engine on that host."
    return f"'{cli} {verb}' failed: {text}."
