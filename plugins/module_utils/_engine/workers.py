# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which containers of a project run the application's Celery, and which send it tasks."""

from __future__ import annotations

from collections.abc import Sequence

from .application import SIDECAR, CeleryProcess, application_services, celery_processes
from .compose import Project
from .docker import Container
from .errors import UsageError


def find_workers(project: Project, service: str | None) -> list[CeleryProcess]:
    """Return the application's workers that run; the service that is named is one, whatever its command."""
    containers = _running(project)
    there = _names(containers)
    if service and all(one.service != service for one in containers):
        raise UsageError(f"No container of service {service} runs in the project. Services that run: {there}.")
    workers = [one for one in celery_processes(containers, service) if "worker" in one.roles]
    if not workers:
        raise UsageError(
            f"No service of the project runs a Celery worker, by its command. Services that run: {there}. "
            "Name it in celery_worker_service."
        )
    return workers


def find_senders(project: Project, workers: Sequence[CeleryProcess], services: Sequence[str]) -> list[Container]:
    """Return a container of each other service that sends tasks: those named, or else those with a worker's image.

    :raises UsageError: where one that is named does not run
    """
    containers = _running(project)
    by_service = {one.service: one for one in containers}
    unknown = sorted(set(services) - set(by_service))
    if unknown:
        missing, there = ", ".join(unknown), _names(containers)
        raise UsageError(f"No container of service {missing} runs in the project. Services that run: {there}.")
    known = {worker.container.service for worker in workers}
    chosen = set(services) or application_services(containers, workers)
    return [by_service[name] for name in sorted(chosen - known)]


def _running(project: Project) -> list[Container]:
    running = (one for one in project.containers if one.state == "running" and not one.is_one_off)
    return [one for one in running if one.service != SIDECAR]


def _names(containers: Sequence[Container]) -> str:
    return ", ".join(sorted({one.service for one in containers})) or "none"
