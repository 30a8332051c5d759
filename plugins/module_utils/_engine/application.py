# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Celery application inside its containers: where it runs, and how it is configured."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .docker import Container, Docker
from .errors import CleanupError

_MARK = "fleetops.celery:"
# django_celery_beat/schedulers.py says so at level INFO, which is beat's own default.
_NOTICED = "DatabaseScheduler: Schedule changed."

# Runs in the application's own Python. It prints names, numbers and versions, nothing secret.
_PROBE = r"""
import glob, importlib.metadata, json, os, re, sys, time

def read(name, what):
    try:
        with open("/proc/%s/%s" % (name, what), "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")
    except OSError:
        return ""

# A script that starts Celery may have set variables, and named the application.
named = sys.argv[1]
for name in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
    words = read(name, "cmdline").replace("\0", " ")
    option = re.search(r" (?:-A|--app)[ =]*([\w.:]+)", words)
    if "celery" in words and option:
        named = named or option[1]
        for variable in read(name, "environ").split("\0"):
            key, sign, value = variable.partition("=")
            if sign:
                os.environ.setdefault(key, value)
        break
if not named:
    sys.exit("no process in the container is celery -A ...")
from celery.app.utils import find_app
app = find_app(named)
app.loader.import_default_modules()
conf = app.conf
expires = conf.result_expires
if hasattr(expires, "total_seconds"):
    expires = expires.total_seconds()
versions = {}
for package in ("celery", "django-celery-beat", "django-celery-results"):
    try:
        versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pass
backend = str(conf.result_backend or "")
written = [os.path.getmtime(path) for path in glob.glob("celerybeat-schedule*")]
print("MARK" + json.dumps({
    "result_expires": expires,
    "result_backend": backend.partition(":")[0],
    "expires_by_itself": bool(getattr(app.backend, "supports_autoexpire", False)),
    "beat_scheduler": str(conf.beat_scheduler),
    "timezone": str(app.timezone),
    "tasks": sorted(app.tasks),
    "beat_schedule": sorted(map(str, conf.beat_schedule or ())),
    "schedule_file_age": time.time() - max(written) if written else None,
    "versions": versions,
}))
""".replace("MARK", _MARK)


@dataclass(frozen=True)
class CeleryProcess:
    """A container that runs ``celery``: as ``worker``, as ``beat`` or as both."""

    container: Container
    app: str | None
    roles: frozenset[str]
    scheduler: str | None


@dataclass(frozen=True)
class Configuration:
    """How the application is configured, as it says itself."""

    result_expires: float | None
    result_backend: str
    expires_by_itself: bool
    beat_scheduler: str
    timezone: str
    tasks: list[str] = field(default_factory=list)
    beat_schedule: list[str] = field(default_factory=list)  #: names of its entries
    schedule_file_age: float | None = None  #: seconds since beat's file in its working folder was written
    versions: dict[str, str] = field(default_factory=dict)


#: The service that the role beat_schedule adds to a project. It is ours, and no part of the application.
SIDECAR = "celery_maintenance"


def celery_processes(
    containers: Sequence[Container], worker_service: str | None = None, beat_service: str | None = None
) -> list[CeleryProcess]:
    """Return the application's containers whose command is ``celery``, running or not.

    :param worker_service: the service that is the worker, whatever its command
    :param beat_service: the same for beat
    """
    processes = []
    for container in containers:
        if container.service == SIDECAR or container.is_one_off:
            continue
        words = _words(container.command)
        roles = _roles(words)
        for role, service in (("worker", worker_service), ("beat", beat_service)):
            if service:
                roles = roles | {role} if container.service == service else roles - {role}
        if not roles:
            continue
        app = _option(words, ("-A", "--app")) or container.environment.get("CELERY_APP")
        scheduler = _option(words, ("-S", "--scheduler"))
        processes.append(CeleryProcess(container, app, frozenset(roles), scheduler))
    return processes


def application_services(containers: Sequence[Container], processes: Sequence[CeleryProcess]) -> set[str]:
    """Return the running services that have the image of one of *processes*, so that they are the same application."""
    images = {process.container.image for process in processes}
    running = (one for one in containers if one.state == "running" and one.service != SIDECAR)
    return {one.service for one in running if one.image in images and not one.is_one_off}


def read_configuration(docker: Docker, process: CeleryProcess) -> Configuration:
    """Ask the application in *process*'s container how it is configured.

    :raises CleanupError: when it does not answer
    """
    said = docker.run_python(process.container, _PROBE, process.app or "")
    lines = [line for line in said.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise CleanupError(f"The application in container {process.container.name} did not tell its configuration.")
    document: dict[str, Any] = json.loads(lines[-1][len(_MARK) :])
    return Configuration(**document)


def read_project(docker: Docker, processes: Sequence[CeleryProcess]) -> Configuration | None:
    """Return the configuration that a running container tells; ``None`` where none runs."""
    running = [process for process in processes if process.container.state == "running"]
    # That of beat if possible: its schedule file can only be seen there.
    running.sort(key=lambda process: "beat" not in process.roles)
    return read_configuration(docker, running[0]) if running else None


def wait_for_beat(docker: Docker, processes: Sequence[CeleryProcess], since: datetime, seconds: float) -> bool:
    """Wait until a running beat has said that it took notice of a change made after *since*.

    :param since: by this host's clock, aware
    :param seconds: how long to wait; beat looks every five seconds
    """
    containers = [one.container for one in processes if "beat" in one.roles and one.container.state == "running"]
    deadline = time.monotonic() + seconds
    while containers:
        if any(_NOTICED in docker.logs_since(container, since.isoformat()) for container in containers):
            return True
        if time.monotonic() >= deadline:
            break
        time.sleep(0.5)
    return False


def _roles(words: Sequence[str]) -> set[str]:
    """Return what a command of these words runs."""
    if not any(word.rpartition("/")[2] == "celery" for word in words):
        return set()
    roles = {word for word in words if word in ("worker", "beat")}
    if "worker" in roles and any(word in ("-B", "--beat") for word in words):
        roles.add("beat")
    return roles


def _words(command: Sequence[str]) -> list[str]:
    """Return the words of *command*, also where a shell gets them as one text."""
    words: list[str] = []
    for argument in command:
        try:
            words += shlex.split(argument)
        except ValueError:
            words.append(argument)
    return words


def _option(words: Sequence[str], names: tuple[str, ...]) -> str | None:
    for position, word in enumerate(words):
        name, sign, value = word.partition("=")
        if name in names and sign:
            return value
        if word in names and position + 1 < len(words):
            return words[position + 1]
    return None
