# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking the Docker engine about containers, through the ``docker`` command.

Nothing secret is ever an argument: the command is only asked to show things.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .errors import CleanupError, UsageError

_TIMEOUT = 60  # seconds
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
FOLDER_LABEL = "com.docker.compose.project.working_dir"
_FILES_LABEL = "com.docker.compose.project.config_files"
_VARIABLES_LABEL = "com.docker.compose.project.environment_file"
# Runs PROGRAM in the Python that runs Celery there, which need not be on the search path, where it runs and with its
# modules, and else in this one. The first word of a process is its interpreter as it was called, in a virtual
# environment too.
_LAUNCHER = r"""
import os, sys

def read(process, what):
    with open("/proc/%s/%s" % (process, what), "rb") as file:
        return [os.fsdecode(word) for word in file.read().split(b"\0")]

program = PROGRAM
for process in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
    try:
        words = read(process, "cmdline")
        if os.path.basename(words[0]).startswith("python") and "celery" in map(os.path.basename, words[1:3]):
            for variable in read(process, "environ"):
                key, sign, value = variable.partition("=")
                if key in ("PATH", "PYTHONPATH"):
                    os.environ[key] = value
            os.chdir("/proc/%s/cwd" % process)
            os.execvp(words[0], [words[0], "-c", program] + sys.argv[1:])
    except OSError:
        pass
exec(program)
"""
#: How `docker exec` ends where the container has no such program, or none that can be run.
_NO_PROGRAM = (126, 127)
#: How `docker` says that it reaches no engine, up to version 28 and from 29 on.
_NO_ENGINE = ("Cannot connect to the Docker daemon", "failed to connect to the docker API")
#: The states of a container that has been started and not stopped.
_RUNNING = ("running", "paused", "restarting")


class Container:
    """A container, as ``docker inspect`` describes it."""

    def __init__(self, description: dict[str, Any]) -> None:
        self._description = description
        config = description.get("Config") or {}
        self.identifier: str = description["Id"]
        self.name: str = description.get("Name", "").lstrip("/")
        self.image: str = config.get("Image", "")
        self.labels: dict[str, str] = config.get("Labels") or {}
        pairs = (entry.partition("=") for entry in config.get("Env") or ())
        self.environment: dict[str, str] = {name: value for name, _sign, value in pairs}
        state = description.get("State") or {}
        self.state: str = state.get("Status", "unknown")
        self.created_at: str = description.get("Created", "")
        self.started_at = _moment(state.get("StartedAt"))
        self.hostname: str = config.get("Hostname") or ""
        self.health: str | None = (state.get("Health") or {}).get("Status")
        self.command: list[str] = [description.get("Path") or "", *(description.get("Args") or ())]
        #: The first of these words, which the image or the service sets apart from the rest.
        self.entrypoint: list[str] = config.get("Entrypoint") or []

    @property
    def is_running(self) -> bool:
        return self.state in _RUNNING

    @property
    def project(self) -> str:
        return self.labels.get(PROJECT_LABEL, "")

    @property
    def folder(self) -> str:
        """The folder of the project's Compose file, as it was called when the project was started."""
        return self.labels.get(FOLDER_LABEL, "")

    @property
    def files(self) -> list[str]:
        """The Compose files that it was made from."""
        return [one for one in self.labels.get(_FILES_LABEL, "").split(",") if one]

    @property
    def variables_files(self) -> list[str]:
        """The files of variables that were named in place of the folder's ``.env``."""
        return [one for one in self.labels.get(_VARIABLES_LABEL, "").split(",") if one]

    @property
    def service(self) -> str:
        return self.labels.get(SERVICE_LABEL, "")

    @property
    def is_one_off(self) -> bool:
        """Whether it was started by ``docker compose run``, beside its service and not as it."""
        return self.labels.get("com.docker.compose.oneoff") == "True"

    @property
    def number(self) -> str:
        """Which of its service's containers it is, as Compose counts them from 1 on."""
        return self.labels.get("com.docker.compose.container-number", "")

    @property
    def host_names(self) -> set[str]:
        """The names by which other containers reach it."""
        aliases = (network.get("Aliases") or () for network in self._networks.values())
        return {self.name, self.service, *(alias for of_network in aliases for alias in of_network)}

    @property
    def _networks(self) -> dict[str, Any]:
        return (self._description.get("NetworkSettings") or {}).get("Networks") or {}

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
        if "host" in self._networks:
            return "127.0.0.1"
        addresses = (network.get("IPAddress") for network in self._networks.values())
        return next((address for address in addresses if address), None)


class _NoProgramError(CleanupError):
    """The container does not have the program."""


@dataclass(frozen=True)
class Listed:
    """A container of a Compose project, as ``docker ps`` lists it."""

    identifier: str
    state: str
    project: str
    folder: str

    @property
    def is_running(self) -> bool:
        return self.state in _RUNNING


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

    def listed(self) -> list[Listed]:
        """Return the containers of all Compose projects, running or not."""
        labels = (f'{{{{.Label "{label}"}}}}' for label in (PROJECT_LABEL, FOLDER_LABEL))
        form = "\t".join(("{{.ID}}", "{{.State}}", *labels))
        said = self._run(["ps", "--all", "--no-trunc", "--filter", f"label={PROJECT_LABEL}", "--format", form])
        return [Listed(*line.split("\t", 3)) for line in said.splitlines()]

    def all_containers(self) -> list[Container]:
        """Return the containers of this engine, running or not, whoever has started them."""
        return self.inspect(self._run(["ps", "--all", "--no-trunc", "--quiet"]).split())

    def read_file(self, container: Container, path: str) -> str:
        """Return the text of a file in a running container, whoever may read it there."""
        return self._run(["exec", "--user", "0", container.identifier, "cat", "--", path])

    def run_python(self, container: Container, program: str, *arguments: str) -> str:
        """Return what *program* prints, run by the Python of a running container that runs Celery, or else by any."""
        command = ["exec", "--interactive", container.identifier]
        launcher = _LAUNCHER.replace("PROGRAM", repr(program))
        try:
            return self._run([*command, "python", "-", *arguments], launcher)
        except _NoProgramError:
            return self._run([*command, "python3", "-", *arguments], launcher)

    def process_ids(self, container: Container) -> set[int]:
        """Return the ids of the processes in a running container, as they are numbered inside it."""
        names = self._run(["exec", container.identifier, "ls", "/proc"]).split()
        return {int(name) for name in names if name.isdigit()}

    def logs_since(self, container: Container, moment: str) -> str:
        """Return what *container* has written since *moment* (ISO 8601)."""
        return self._run(["logs", "--since", moment, container.identifier], both=True)

    def compose(self, folder: str, *arguments: str) -> str:
        """Return what ``docker compose`` prints in *folder*, as the operator's own command there does."""
        return self._run(["compose", *arguments], folder=folder)

    def inspect(self, identifiers: Sequence[str]) -> list[Container]:
        """Return the containers with these identifiers or names; all of them must be there."""
        if not identifiers:
            return []
        said = self._run(["inspect", "--type", "container", *identifiers])
        return [Container(description) for description in json.loads(said)]

    def _run(self, arguments: list[str], given: str = "", both: bool = False, folder: str | None = None) -> str:
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function
                [self._cli, *arguments],
                capture_output=True,
                # What an application writes may be in any encoding, and this host's may be another one.
                encoding="utf-8",
                errors="replace",
                timeout=_TIMEOUT,
                check=False,
                input=given,
                cwd=folder,
            )
        except subprocess.TimeoutExpired:
            raise CleanupError(
                f"The Docker engine did not answer '{self._cli} {arguments[0]}' within {_TIMEOUT} s."
            ) from None
        except OSError as error:
            raise CleanupError(f"{self._cli} cannot be run: {error.strerror}.") from None
        if arguments[0] == "exec" and done.returncode in _NO_PROGRAM:
            # The engine may say so where the program would write.
            raise _NoProgramError(_explain(self._cli, arguments[0], done.stderr or done.stdout))
        if done.returncode:
            raise CleanupError(_explain(self._cli, arguments[0], done.stderr))
        return done.stdout + done.stderr if both else done.stdout


def _moment(text: str | None) -> datetime | None:
    """Return a time as Docker writes it, aware: nanoseconds are more than Python reads."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", text or "")
    return datetime.fromisoformat(match[1]).replace(tzinfo=timezone.utc) if match else None


def _explain(cli: str, verb: str, said: str) -> str:
    lines = said.strip().splitlines()
    text = lines[-1].rstrip(".") if lines else "it said nothing"
    if "permission denied while trying to connect" in said:
        return (
            f"'{cli} {verb}' was refused: {text}. The user has no rights to the Docker engine's "
            "socket: use become, or add the user to the group docker."
        )
    if any(words in said for words in _NO_ENGINE):
        return f"'{cli} {verb}' reached no Docker engine: {text}. Start the engine on that host."
    return f"'{cli} {verb}' failed: {text}."
