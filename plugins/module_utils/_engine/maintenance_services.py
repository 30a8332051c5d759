# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the override file says of a deployment's services, so that maintenance tasks run there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .application import SIDECAR, CeleryProcess
from .docker import Container
from .errors import UsageError
from .maintenance_schedule import Schedule

DEFAULT_QUEUE = "maintenance"
INSIDE = "/opt/fleetops-celery"  #: where our files are in a container
_PACKAGE, _PLUGIN, _POLICY = f"{INSIDE}/maintenance.pyz", f"{INSIDE}/plugin", f"{INSIDE}/policy"
POLICY_NAME = "policy.json"
_SETTINGS = "CELERY_MAINTENANCE_SIDECAR"
_READY = "/tmp/celery-maintenance-ready"  # in the container; celery_maintenance.app makes it
# Folders that programs in a container write into; those right below the root are no less their own.
_SHARED = (Path("/var/tmp"), Path("/var/log"), Path("/var/lib"), Path("/run/lock"))

Services = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Sources:
    """Where the files are on the host."""

    package: str
    plugin_folder: str  #: tells Celery's program to import the tasks
    policy_folder: str
    archive: str | None = None  #: the policy's, which has the same path inside
    stop_folder: str | None = None  #: that of the policy's stop file, which has the same path inside too


def sidecar(base: CeleryProcess, application: str, compose_file: str, schedule: Schedule, sources: Sources) -> Services:
    """Return one more service: what *base* is, with another command."""
    queue = schedule.queue or DEFAULT_QUEUE
    settings = {
        "application": application,
        "queue": queue,
        "priority": schedule.priority,
        "timezone": schedule.timezone,
        "schedule": [asdict(entry) for entry in schedule.entries],
    }
    container = base.container
    definition: dict[str, Any] = {
        # So it has the same environment, secrets, volumes and networks, also after they change.
        "extends": {"file": compose_file, "service": container.service},
        # Where a service has no name for its image, Compose would build one for this one.
        "image": container.image,
        "pull_policy": "missing",
        **_command(container, _arguments(queue, base.folder)),
        **_additions(container, sources, [_PACKAGE]),
        "healthcheck": {
            "test": ["CMD", "test", "-f", _READY],
            "interval": "5s",
            "timeout": "5s",
            "start_period": "120s",
            "retries": 3,
        },
        "deploy": {"replicas": 1},
        "scale": 1,
        "restart": "unless-stopped",
    }
    if container.name != f"{container.project}-{container.service}-{container.number}":
        definition["container_name"] = f"{container.name}_maintenance"
    definition["environment"][_SETTINGS] = json.dumps(settings, sort_keys=True)
    return {SIDECAR: literal(definition)}


def sidecar_tasks(containers: Sequence[Container]) -> set[str]:
    """Return the tasks that the sidecar among *containers* schedules, if it runs."""
    tasks = set()
    for container in containers:
        if container.service == SIDECAR and container.state == "running":
            try:
                tasks |= {entry["task"] for entry in json.loads(container.environment.get(_SETTINGS, ""))["schedule"]}
            except (ValueError, LookupError, TypeError):
                continue  # somebody else's
    return tasks


def in_workers(workers: Sequence[CeleryProcess], sources: Sources) -> Services:
    """Return what makes the application's own workers know the tasks: the package on their path, and the policy.

    The plugin is beside the package: Python reads plugins from a zip file through a handle that it keeps, and that is
    closed in a process that Celery has forked.
    """
    services = {}
    for container in {worker.container.service: worker.container for worker in workers}.values():
        definition = _additions(container, sources, [_PACKAGE, _PLUGIN])
        definition["volumes"].append(mount(sources.plugin_folder, _PLUGIN))
        services[container.service] = literal(definition)
    return services


def _additions(container: Container, sources: Sources, path: list[str]) -> dict[str, Any]:
    archive = [mount(sources.archive, sources.archive, read_only=False)] if sources.archive else []
    stop = [mount(sources.stop_folder, sources.stop_folder)] if sources.stop_folder else []
    return {
        "environment": {
            "PYTHONPATH": python_path(container, path),
            "CELERY_MAINTENANCE_POLICY": f"{_POLICY}/{POLICY_NAME}",
        },
        "volumes": [
            # A file: a container keeps the one that it has begun with, which Python goes on reading.
            mount(sources.package, _PACKAGE),
            # A folder: the next task finds the policy that has taken its place.
            mount(sources.policy_folder, _POLICY),
            *archive,
            # A folder: the file comes and goes.
            *stop,
        ],
    }


def stop_folder(stop_file: str | None) -> str | None:
    """Return the folder of *stop_file*, once it is known that a container can be given it.

    :raises UsageError: where it is not there, or a container has one of its own that it would hide
    """
    if stop_file is None:
        return None
    folder = Path(stop_file).parent
    if not folder.is_absolute() or not folder.is_dir():
        raise UsageError(f"policy: limits: stop_file {stop_file} must lie in a folder that is there on the host.")
    if len(folder.resolve().parts) < 3 or folder.resolve() in _SHARED:
        raise UsageError(
            f"policy: limits: stop_file {stop_file} cannot lie in {folder}: the container is given the file's folder, "
            "and this one would hide its own. Choose a file in a folder of its own."
        )
    return str(folder)


def python_path(container: Container, ours: Sequence[str]) -> str:
    """Return *container*'s PYTHONPATH with *ours* before what it has of its own."""
    there = container.environment.get("PYTHONPATH", "").split(":")
    return ":".join([*ours, *(part for part in there if part and not part.startswith(INSIDE))])


def mount(source: str, target: str, *, read_only: bool = True) -> dict[str, Any]:
    return {
        "type": "bind",
        "source": source,
        "target": target,
        "read_only": read_only,
        # For hosts with SELinux; elsewhere it means nothing.
        "bind": {"create_host_path": False, "selinux": "z"},
    }


def _arguments(queue: str, folder: str | None) -> list[str]:
    return [
        # From there the application is imported, which tells its broker.
        *(("--workdir", folder) if folder else ()),
        *("--app", "celery_maintenance.app", "worker", "--beat", "--pool", "solo", "--queues", queue),
        *("--hostname", "maintenance@%h", "--loglevel", "INFO"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def _command(container: Container, arguments: list[str]) -> dict[str, Any]:
    """Return how the service starts Celery, with *arguments* in place of its own."""
    entrypoint = _up_to_celery(container.entrypoint)
    if entrypoint:
        return {"entrypoint": entrypoint, "command": arguments}
    rest = container.command[len(container.entrypoint) :]
    # Within a shell's text there may be anything: there the program is started by its name.
    return {"command": [*(_up_to_celery(rest) or ["celery"]), *arguments]}


def _up_to_celery(words: Sequence[str]) -> list[str]:
    for position, word in enumerate(words):
        if word.rpartition("/")[2] == "celery":
            return list(words[: position + 1])
    return []


def literal(value: Any) -> Any:
    """Return *value* so that Compose fills in nothing."""
    if isinstance(value, dict):
        return {key: literal(one) for key, one in value.items()}
    if isinstance(value, list):
        return [literal(one) for one in value]
    return value.replace("$", "$$") if isinstance(value, str) else value
