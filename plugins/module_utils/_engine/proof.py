# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proof that a task is dead, or lives, from the containers of its project.

Which process runs a task is in its row; whether that process still runs, its container tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from .axes import Axis, comparable, whole_table
from .clock import Clock
from .database import Database
from .docker import Container, Docker
from .errors import CleanupError
from .libraries import sa
from .owners import Owner, read_owner
from .records import RecordTable
from .statuses import Statuses

GONE = ("container_gone", "container_stopped", "container_restarted", "process_gone")
ALIVE = "alive"
UNKNOWN = "unknown"
#: What counts where several containers have one name: dead is only what is dead in each of them.
_WEIGHTS = (*GONE, UNKNOWN, ALIVE)


@dataclass(frozen=True)
class Examined:
    """A row that may be a zombie, and what the containers prove about it."""

    identity: Any
    task: str | None
    status: str
    result: Any  #: as the row has it
    written: Any  #: when it was last written, to be compared with the row's own
    owner: Owner | None
    verdict: str


@dataclass
class Containers:
    """The containers of a project, and the processes in them, asked once.

    Whose process still lives is known from them. Nobody is taken for dead before all containers of the engine have been
    asked: a worker may run beside the project, and one may have been started since the project was looked at.
    """

    docker: Docker
    containers: Sequence[Container]
    _processes: dict[str, set[int] | None] = field(default_factory=dict)

    def verdict(self, owner: Owner, started: datetime | None) -> str:
        """Say whether *owner*'s process still lives.

        :param started: when the row was last written, aware
        """
        verdict = self._judge(self.containers, owner, started)
        if verdict == ALIVE:
            return verdict
        return UNKNOWN if self._all is None else self._judge(self._all, owner, started)

    @cached_property
    def _all(self) -> Sequence[Container] | None:
        try:
            return self.docker.all_containers()
        except CleanupError:
            return None

    def _judge(self, containers: Sequence[Container], owner: Owner, started: datetime | None) -> str:
        verdicts = [self._judge_one(one, owner, started) for one in containers if self._is_called(one, owner.host)]
        if verdicts:
            return max(verdicts, key=_WEIGHTS.index)
        # Only a container's id tells for sure that it was one; any other name may be a host's.
        return "container_gone" if _is_identifier(owner.host) else UNKNOWN

    def _is_called(self, container: Container, host: str) -> bool:
        """Whether *host* is a name of *container*. Several may have it, such as those that share a network."""
        if _is_identifier(host):
            return container.identifier.startswith(host) or host in (container.hostname, container.name)
        # A name that somebody chose may be that of another project's container, too.
        return host in (container.hostname, container.name) and container.project in self._projects

    @cached_property
    def _projects(self) -> set[str]:
        return {one.project for one in self.containers}

    def _judge_one(self, container: Container, owner: Owner, started: datetime | None) -> str:
        # A paused one's processes are there, and nobody can list them.
        if container.state not in ("running", "paused"):
            return "container_stopped"
        if started is None or container.started_at is None:
            return UNKNOWN
        if container.started_at > started:
            return "container_restarted"
        processes = self._processes_of(container)
        if processes is None:
            return UNKNOWN
        return ALIVE if owner.pid in processes else "process_gone"

    def _processes_of(self, container: Container) -> set[int] | None:
        if container.identifier not in self._processes:
            try:
                pids: set[int] | None = self.docker.process_ids(container)
            except CleanupError:
                pids = None
            self._processes[container.identifier] = pids
        return self._processes[container.identifier]


class Verdicts:
    """What the containers prove about rows, by the rows' identity.

    :param written: what tells when a row was last written
    """

    def __init__(self, examined: Sequence[Examined], written: Any) -> None:
        self.examined = examined
        self._written = written
        self._verdicts = {one.identity: one.verdict for one in examined}

    def of(self, identity: Any) -> str:
        return self._verdicts.get(identity, UNKNOWN)

    def gone(self, record: RecordTable) -> Axis:
        """Return the rows whose process is gone, as an axis, unless they have been written since.

        A new run replaces the result, but for one by a process of the same number in a container that was restarted.
        """
        identity, result = record.identity, record.column("result")
        gone = [one for one in self.examined if one.verdict in GONE]
        dates = {one.written for one in gone if one.written is not None}
        proven = sa.and_(
            identity.in_([one.identity for one in gone]),
            result.in_({one.result for one in gone}),
            sa.or_(self._written.is_(None), self._written.in_(dates)),
        )
        return Axis(whole_table(record).column, sa.true(), proven, record.primary_key[1:])

    def alive(self, record: RecordTable) -> Any:
        return record.identity.in_([one.identity for one in self.examined if one.verdict == ALIVE])


def examine_rows(
    database: Database,
    record: RecordTable,
    clock: Clock,
    statuses: Statuses,
    names: Iterable[str],
    containers: Containers,
) -> Verdicts:
    """Ask *containers* about every row in one of the statuses *names*, whatever its age; the oldest first."""
    task, result = record.find("task_name"), record.column("result")
    touched = record.column(record.profile.touched or "finished")
    written = comparable(database, touched)
    rows = database.rows(
        sa.select(
            record.identity.label("identity"),
            (task if task is not None else sa.null()).label("task"),
            record.column("status").label("status"),
            result.label("result"),
            touched.label("touched"),
            written.label("written"),
        )
        .where(statuses.condition(names))
        .order_by(touched, record.identity)
    )
    examined = []
    for row in rows:
        owner = read_owner(row.result)
        verdict = containers.verdict(owner, clock.to_utc(touched, row.touched)) if owner else UNKNOWN
        status = statuses.label(row.status)
        examined.append(Examined(row.identity, row.task, status, row.result, row.written, owner, verdict))
    return Verdicts(examined, written)


def _is_identifier(host: str) -> bool:
    return len(host) == 12 and all(character in "0123456789abcdef" for character in host)
