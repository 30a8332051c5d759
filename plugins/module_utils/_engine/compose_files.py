# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files Compose reads in a project's folder, and whether it would accept one more."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .docker import Container, Docker
from .errors import CleanupError, UsageError

# In the order in which Compose looks: https://github.com/compose-spec/compose-go, cli/options.go
_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)


def chosen_options(containers: Sequence[Container]) -> list[str]:
    """Return the options by which ``docker compose`` reads the files that the newest of *containers* was made from.

    Empty where it finds those by itself in the project's folder.
    """
    newest = max(containers, key=lambda one: one.created_at)
    folder, variables = Path(newest.folder), newest.variables_files
    chosen = _variable(folder / ".env", "COMPOSE_FILE")
    if chosen:
        separator = _variable(folder / ".env", "COMPOSE_PATH_SEPARATOR") or os.pathsep
        found = [folder / one for one in chosen.split(separator)]
    else:
        base = _base(folder)
        found = [*([base] if base else []), *(folder / name for name in _OVERRIDES)]
    if not variables and {os.path.realpath(one) for one in newest.files} <= {os.path.realpath(one) for one in found}:
        return []
    files = [word for one in newest.files for word in ("--file", one)]
    return ["--project-directory", newest.folder, *files, *(word for one in variables for word in ("--env-file", one))]


class ProjectFiles:
    """The Compose files in a folder: the deployment's own one, and the override file beside it.

    :raises UsageError: where there is none
    """

    def __init__(self, docker: Docker, folder: str) -> None:
        self.folder = Path(folder)
        self._docker = docker
        base = _base(self.folder)
        if base is None:
            raise UsageError(f"There is no Compose file in {folder}: none of {', '.join(_NAMES)}. Check project_dir.")
        self.base = base
        self.override = self.base.with_name(f"{self.base.stem}.override{self.base.suffix}")

    def check(self) -> None:
        """Raise :class:`UsageError` where Compose would not read the override file."""
        self._refuse_other_overrides()
        self._refuse_chosen_files()

    def check_services(self, services: Mapping[str, Any]) -> None:
        """Raise :class:`UsageError` where *services* extends a service that the deployment does not have."""
        there = self._config("--profile=*", "-f", str(self.base), "config", "--services").split()
        for name, service in services.items():
            if not isinstance(service, Mapping):
                raise UsageError(f"services: {name} must be a dictionary, not {service!r}.")
            if name not in there and not ("image" in service or "build" in service):
                raise UsageError(
                    f"services: the project in {self.folder} has no service {name}, and without an image it cannot be "
                    f"a new one. It has: {', '.join(sorted(there))}."
                )

    def try_with(self, override: Path) -> None:
        """Raise :class:`UsageError` where Compose refuses the project with *override* in the override file's place."""
        self._config("--profile=*", "-f", str(self.base), "config", "--quiet")
        try:
            self._docker.compose(
                str(self.folder), "--profile=*", "-f", str(self.base), "-f", str(override), "config", "--quiet"
            )
        except CleanupError as error:
            raise UsageError(f"Compose does not accept {self.override} as it would become: {error}") from None

    def _refuse_other_overrides(self) -> None:
        others = [name for name in _OVERRIDES if name != self.override.name and (self.folder / name).exists()]
        if others:
            raise UsageError(
                f"{self.folder / others[0]} is there already, and Compose reads one override file only. "
                f"Move what it says into {self.base.name}, and remove it."
            )

    def _refuse_chosen_files(self) -> None:
        """Refuse a project whose files somebody has chosen: Compose would not read an override file."""
        chosen = os.environ.get("COMPOSE_FILE") or _variable(self.folder / ".env", "COMPOSE_FILE")
        if chosen:
            raise self._chosen(f"COMPOSE_FILE: {chosen}")
        ours = {os.path.realpath(self.base), os.path.realpath(self.override)}
        for files in self._files_of_containers():
            if not {os.path.realpath(one) for one in files} <= ours:
                raise self._chosen(", ".join(files))

    def _files_of_containers(self) -> Iterable[list[str]]:
        listed = self._docker.listed()
        folder = os.path.realpath(self.folder)
        identifiers = [one.identifier for one in listed if one.is_running and os.path.realpath(one.folder) == folder]
        for container in self._docker.inspect(identifiers):
            yield container.files

    def _chosen(self, files: str) -> UsageError:
        return UsageError(
            f"The project in {self.folder} is started with files that were chosen for it ({files}), so Compose would "
            f"not read {self.override.name}. Start it with {self.base.name} alone: without -f and without COMPOSE_FILE."
        )

    def _config(self, *arguments: str) -> str:
        try:
            return self._docker.compose(str(self.folder), *arguments)
        except CleanupError as error:
            raise UsageError(f"Compose does not accept the project's own files in {self.folder}: {error}") from None


def _base(folder: Path) -> Path | None:
    """Return the Compose file that is read where none is named; ``None`` where there is none."""
    return next((path for name in _NAMES if (path := folder / name).is_file()), None)


def _variable(path: Path, name: str) -> str | None:
    """Return a variable of an .env file; ``None`` where there is no such file, or it is not set there."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.findall(rf"^\s*(?:export\s+)?{name}\s*[=:]\s*[\"']?(.*?)[\"']?\s*$", text, re.MULTILINE)
    return found[-1] if found else None
