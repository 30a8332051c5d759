# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proof that a task is dead, or lives, from the containers of its project.

Celery stores in the result of a STARTED task which process runs it: ``{"pid": 17, "hostname":
"celery@3f2a9c0b1d4e"}``. In a Compose project the name behind the ``@`` is by default the
container's. Source: ``celery/app/trace.py``, 5.4 to 5.7.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .axes import Axis, whole_table
from .compose import project_containers
from .docker import Container, Docker
from .errors import CleanupError
from .libraries import sa
from .records import RecordTable

GONE = ("container_gone", "container_stopped", "container_restarted", "process_gone")
ALIVE = "alive"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Owner:
    """The process that a row names."""

    pid: int
    host: str


@dataclass
class Containers:
    """The containers of a project, and the processes in them, asked once."""

    docker: Docker
    containers: Sequence[Container]
    _processes: dict[str, set[int] | None] = field(default_factory=dict)

    def verdict(self, owner: Owner, started: datetime | None) -> str:
        """Say whether *owner*'s process still lives.

        :param started: when the row was last written, aware
        """
        container = self._find(owner.host)
        if container is None:
            # Only a container's id tells for sure that it was one; any other name may be a host's.
            return "container_gone" if _is_identifier(owner.host) else UNKNOWN
        if container.state != "running":
            return "container_stopped"
        if started is None or container.started_at is None:
            return UNKNOWN
        if container.started_at > started:
            return "container_restarted"
        processes = self._processes_of(container)
        if processes is None:
            return UNKNOWN
        return ALIVE if owner.pid in processes else "process_gone"

    def _find(self, host: str) -> Container | None:
        for container in self.containers:
            if host in (container.hostname, container.name) or container.identifier.startswith(host):
                return container
        return None

    def _processes_of(self, container: Container) -> set[int] | None:
        if container.identifier not in self._processes:
            try:
                pids: set[int] | None = self.docker.process_ids(container)
            except CleanupError:
                pids = None
            self._processes[container.identifier] = pids
        return self._processes[container.identifier]


class Verdicts:
    """What the containers prove about rows, by the rows' identity."""

    def __init__(self, verdicts: Mapping[Any, tuple[str, Any]]) -> None:
        self._verdicts = verdicts

    def of(self, identity: Any) -> str:
        return self._verdicts[identity][0] if identity in self._verdicts else UNKNOWN

    def gone(self, record: RecordTable) -> Axis:
        """Return the rows whose process is gone, as an axis: by the result too, which a new run replaces."""
        identity, result = record.identity, record.column("result")
        gone = [(one, text) for one, (verdict, text) in self._verdicts.items() if verdict in GONE]
        proven = sa.and_(identity.in_([one for one, _text in gone]), result.in_({text for _one, text in gone}))
        return Axis(whole_table(record).column, sa.true(), proven, record.primary_key[1:])

    def alive(self, record: RecordTable) -> Any:
        return record.identity.in_([one for one, (verdict, _text) in self._verdicts.items() if verdict == ALIVE])


def find_containers(compose: Mapping[str, Any]) -> Containers:
    """Return the containers of the project that *compose* describes."""
    docker = Docker(compose.get("docker_cli"))
    return Containers(docker, project_containers(docker, compose))


def read_owner(result: Any) -> Owner | None:
    """Return the process that the *result* of a STARTED row names; ``None`` where it names none.

    Only JSON is read. A pickle could run code of whoever wrote it.
    """
    try:
        document = json.loads(result)
        pid, name = int(document["pid"]), str(document["hostname"])
    except (KeyError, TypeError, ValueError):
        return None
    return Owner(pid, name.rpartition("@")[2])


def _is_identifier(host: str) -> bool:
    return len(host) == 12 and all(character in "0123456789abcdef" for character in host)
