# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Celery application inside its containers: where it runs, and how it is configured."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .docker import Container, Docker
from .errors import CleanupError

_MARK = "fleetops.celery:"
# Those of ``celery`` itself, before the subcommand. Source: celery/bin/celery.py.
_OPTIONS_WITH_VALUE = ("-A", "--app", "-b", "--broker", "--result-backend", "--loader", "--config", "--workdir")

# Runs in the application's own Python. It prints names, numbers and versions, nothing secret.
_PROBE = r"""
import glob, importlib.metadata, json, os, re, sys, time

def read(name, what):
    try:
        with open("/proc/%s/%s" % (name, what), "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")
    except OSError:
        return ""

def task_of(entry):
    return str(entry.get("task") if isinstance(entry, dict) else entry.task)

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
    "queues": sorted(app.amqp.queues),
    "beat_schedule": {str(name): task_of(entry) for name, entry in (conf.beat_schedule or {}).items()},
    "beat_interval": conf.beat_max_loop_interval or None,
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
    beat_interval: float | None  #: how often beat looks at its schedule at least, in seconds
    shows_info: bool  #: whether what it says at level INFO is in its container's log
    folder: str | None = None  #: where its command goes before it imports the application
    queues: frozenset[str] = frozenset()  #: those that its command names; where none, the application's own


@dataclass(frozen=True)
class Configuration:
    """How the application is configured, as it says itself."""

    result_expires: float | None
    result_backend: str
    expires_by_itself: bool
    beat_scheduler: str
    timezone: str
    tasks: list[str] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)  #: what a worker reads that is not told otherwise
    beat_schedule: dict[str, str] = field(default_factory=dict)  #: the task of each of its entries, by name
    beat_interval: float | None = None  #: ``beat_max_loop_interval``, in seconds
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
        words = _celery_words(container.command)
        roles = _roles(words)
        for role, service in (("worker", worker_service), ("beat", beat_service)):
            if service:
                roles = roles | {role} if container.service == service else roles - {role}
        if not roles:
            continue
        app = _option(words, ("-A", "--app")) or container.environment.get("CELERY_APP")
        scheduler, interval = _option(words, ("-S", "--scheduler")), _option(words, ("--max-interval",))
        queues = _option(words, ("-Q", "--queues")) or ""
        processes.append(
            CeleryProcess(
                container,
                app,
                frozenset(roles),
                scheduler,
                float(interval) if interval and interval.isdigit() else None,
                _shows_info(words),
                _option(words, ("--workdir",)),
                frozenset(filter(None, (queue.strip() for queue in queues.split(",")))),
            )
        )
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
    try:
        said = docker.run_python(process.container, _PROBE, process.app or "")
    except CleanupError as problem:
        raise CleanupError(
            f"The application in container {process.container.name} cannot be asked how it is configured: {problem}"
        ) from None
    lines = [line for line in said.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise CleanupError(f"The application in container {process.container.name} did not tell its configuration.")
    document: dict[str, Any] = json.loads(lines[-1][len(_MARK) :])
    return Configuration(**document)


def queues_of(docker: Docker, process: CeleryProcess) -> frozenset[str]:
    """Return the queues that a worker reads; none where neither its command nor the application tells them."""
    if process.queues:
        return process.queues
    try:
        return frozenset(read_configuration(docker, process).queues)
    except CleanupError:
        return frozenset()


def read_project(docker: Docker, processes: Sequence[CeleryProcess]) -> Configuration | None:
    """Return the configuration that a running container tells; ``None`` where none runs."""
    running = _running(processes)
    return read_configuration(docker, running[0]) if running else None


def read_other_tasks(docker: Docker, processes: Sequence[CeleryProcess]) -> set[str]:
    """Return the tasks of workers that are another application, or of another image, than :func:`read_project` asks."""
    first, *others = _running(processes)
    different = {(one.container.image, one.app): one for one in reversed(others) if "worker" in one.roles}
    different.pop((first.container.image, first.app), None)
    tasks: set[str] = set()
    for process in different.values():
        try:
            tasks.update(read_configuration(docker, process).tasks)
        except CleanupError:
            continue  # what it has is not known
    return tasks


def _running(processes: Sequence[CeleryProcess]) -> list[CeleryProcess]:
    """Return those that run, in the order in which they are asked."""
    running = [process for process in processes if process.container.state == "running"]
    # Beat first: its schedule file can only be seen there.
    return sorted(running, key=lambda process: "beat" not in process.roles)


def _roles(words: Sequence[str]) -> set[str]:
    """Return what a command of these words runs."""
    roles = {_subcommand(words[place + 1 :]) for place in _celery_places(words)} & {"worker", "beat"}
    if "worker" in roles and any(word in ("-B", "--beat") for word in words):
        roles.add("beat")
    return roles


def _subcommand(words: Sequence[str]) -> str:
    """Return the first of *words* that is neither an option nor an option's value."""
    before = ""
    for word in words:
        if not word.startswith("-") and before not in _OPTIONS_WITH_VALUE:
            return word
        before = word
    return ""


def _shows_info(words: Sequence[str]) -> bool:
    # Celery's own level is WARNING, for worker and beat alike.
    level = _option(words, ("-l", "--loglevel")) or "WARNING"
    return (
        level.upper() not in ("WARNING", "ERROR", "CRITICAL", "FATAL") and _option(words, ("-f", "--logfile")) is None
    )


def _celery_words(command: Sequence[str]) -> list[str]:
    """Return the words of *command* from ``celery`` on, if that is there: other commands have options of their own."""
    words = _words(command)
    return words[min(_celery_places(words), default=0) :]


def _celery_places(words: Sequence[str]) -> list[int]:
    return [place for place, word in enumerate(words) if word.rpartition("/")[2] == "celery"]


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
        if word[:2] in names and word[2:]:
            return word[2:]
    return None
