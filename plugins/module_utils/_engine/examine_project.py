# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking a Compose project over: which of its services run, and how the application is set up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .application import CeleryProcess, Configuration, application_services, read_project
from .compose import is_database
from .docker import Container, Docker
from .errors import CleanupError
from .findings import Finding, error, warning

# Result backends that keep results for ever unless they are told when to drop them.
_EXPIRING_BACKENDS = ("redis", "rediss", "sentinel", "cache", "memcached")


@dataclass(frozen=True)
class Service:
    """A container of the project; ``roles``: ``database``, ``worker``, ``beat``, or none of them.

    ``application`` is the role of what has the image of worker or beat, and is neither.
    """

    service: str
    container: str
    image: str
    state: str
    health: str | None
    roles: list[str]


def list_services(containers: Sequence[Container], processes: Sequence[CeleryProcess]) -> list[Service]:
    """Return the project's containers, by service."""
    celery = {process.container.identifier: sorted(process.roles) for process in processes}
    application = application_services(containers, processes)

    def roles(one: Container) -> list[str]:
        if one.identifier in celery:
            return celery[one.identifier]
        if one.is_one_off:
            return []
        if is_database(one):
            return ["database"]
        return ["application"] if one.service in application else []

    return [
        Service(one.service, one.name, one.image, one.state, one.health, roles(one))
        for one in sorted(containers, key=lambda one: (one.service, one.name))
    ]


def examine_processes(processes: Sequence[CeleryProcess]) -> Iterator[Finding]:
    """Yield which of worker and beat do not run."""
    for role in ("worker", "beat"):
        having = [process.container for process in processes if role in process.roles]
        running = [container for container in having if container.state == "running"]
        stopped = [container for container in having if container not in running]
        states = ", ".join(f"{one.name} is {one.state}" for one in stopped)
        if not running:
            yield error(
                f"{role}_not_running",
                f"No Celery {role} runs in the project: {states or 'no container has such a command'}.",
                f"docker compose up -d {having[0].service}"
                if having
                else f"Start its service, or name it in celery_{role}_service where its command does not tell.",
            )
        elif role == "worker" and stopped:
            yield warning(
                "worker_stopped",
                f"Not all of the project's Celery workers run: {states}. Tasks of a queue that no other takes wait.",
                f"docker compose up -d {stopped[0].service}, or remove the container where it is not wanted.",
            )
        if role == "beat" and len(running) > 1:
            yield warning(
                "several_beats",
                f"{len(running)} containers run beat: {', '.join(one.name for one in running)}. Each sends every task.",
                "Run one beat for each schedule.",
            )
        for one in running:
            if one.health == "unhealthy":
                yield warning("unhealthy", f"Container {one.name} is unhealthy.", f"See docker logs {one.name}.")


def read_application(docker: Docker, processes: Sequence[CeleryProcess]) -> tuple[Configuration | None, list[Finding]]:
    """Return how the application is configured, from its first container that runs, and what is wrong."""
    try:
        return read_project(docker, processes), []
    except CleanupError as problem:
        fix = "See that the application can be imported in its container: celery -A … report."
        return None, [warning("application_unreadable", str(problem), fix)]


def examine_configuration(processes: Sequence[CeleryProcess], known: Configuration) -> Iterator[Finding]:
    """Yield what is wrong with how results expire and where beat keeps its schedule."""
    # What follows a plus says how it is reached, as in redis+socket.
    if known.result_backend.partition("+")[0] in _EXPIRING_BACKENDS and not known.result_expires:
        yield warning(
            "results_never_expire",
            f"Results are kept in {known.result_backend}, and result_expires is not set: they stay for ever.",
            "Set result_expires in the application; nothing else cleans that backend.",
        )
    # Where beat runs, it is beat's first container that has been asked.
    for process in processes:
        if "beat" in process.roles and process.container.state == "running":
            yield from _stale_file(process, known)
            break


def _stale_file(process: CeleryProcess, known: Configuration) -> Iterator[Finding]:
    scheduler = process.scheduler or known.beat_scheduler
    in_database = "DatabaseScheduler" in scheduler or scheduler == "django"
    if known.schedule_file_age is None:
        return
    minutes = int(known.schedule_file_age / 60)
    # Beat writes its file every three minutes.
    if in_database or minutes > 15:
        why = "beat keeps its schedule in the database" if in_database else f"not written for {minutes} minutes"
        yield warning(
            "stale_schedule_file",
            f"Container {process.container.name} has a file celerybeat-schedule that is not in use: {why}.",
            "Remove the file and restart beat.",
        )
