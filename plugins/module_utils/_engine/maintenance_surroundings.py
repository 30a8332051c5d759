# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an application's container has for the maintenance tasks, as its own Python tells."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .docker import Container, Docker
from .drivers import DRIVERS
from .errors import CleanupError, UsageError
from .libraries import OLDEST_SQLALCHEMY

_MARK = "fleetops.celery:"
_OLDEST_PYTHON, _OLDEST_CELERY = (3, 9), (5,)

# Runs in the application's own Python. The user is that of Celery's processes, which need not be the container's.
_PROBE = r"""
import json, os, sys
try:
    from importlib.metadata import version
    from importlib.util import find_spec
except ImportError:
    version = find_spec = None

def known(package):
    try:
        return version(package)
    except Exception:
        return None

uid, gid = os.getuid(), os.getgid()
for name in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
    try:
        with open("/proc/%s/cmdline" % name, "rb") as file:
            words = file.read().split(b"\0")
        if any(os.path.basename(word) == b"celery" for word in words):
            status = os.stat("/proc/" + name)
            uid, gid = status.st_uid, status.st_gid
            break
    except OSError:
        pass
print("MARK" + json.dumps({
    "uid": uid,
    "gid": gid,
    "python": list(sys.version_info[:2]),
    "celery": known("celery"),
    "sqlalchemy": known("SQLAlchemy"),
    "modules": [name for name in sys.argv[1:] if find_spec is not None and find_spec(name) is not None],
}))
""".replace("MARK", _MARK)


@dataclass(frozen=True)
class Surroundings:
    """Who runs Celery in the container, and whether it has to be given SQLAlchemy."""

    uid: int
    gid: int
    needs_libraries: bool


def examine_container(docker: Docker, container: Container, kind: str) -> Surroundings:
    """Ask *container* what it has.

    :param kind: the database that the tasks open, as in its URL
    :raises UsageError: where it lacks what nothing can be added for
    """
    subject = f"The image {container.image} of service {container.service}"
    drivers = DRIVERS[kind]
    try:
        said = docker.run_python(container, _PROBE, *(driver.module for driver in drivers))
    except CleanupError as error:
        raise UsageError(f"{subject} cannot be asked whether it has Celery: {error}") from None
    lines = [line for line in said.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise UsageError(f"{subject} did not tell whether it has Celery.")
    told: dict[str, Any] = json.loads(lines[-1][len(_MARK) :])
    if tuple(told["python"]) < _OLDEST_PYTHON:
        raise UsageError(f"{subject} has Python {_text(told['python'])}; the tasks need 3.9 or newer.")
    if told["celery"] is None:
        raise UsageError(f"{subject} has no Celery. Name a service that runs Celery in celery_worker_service.")
    if _numbers(told["celery"]) < _OLDEST_CELERY:
        raise UsageError(f"{subject} has Celery {told['celery']}; the tasks need Celery 5.")
    if not told["modules"]:
        raise UsageError(
            f"{subject} has no driver for {kind} that works outside an event loop: "
            f"{' or '.join(driver.requirement for driver in drivers)}. Add one to it."
        )
    if told["sqlalchemy"] and _numbers(told["sqlalchemy"]) < OLDEST_SQLALCHEMY:
        raise UsageError(f"{subject} has SQLAlchemy {told['sqlalchemy']}; the tasks need {_text(OLDEST_SQLALCHEMY)}.")
    return Surroundings(told["uid"], told["gid"], needs_libraries=not told["sqlalchemy"])


def _numbers(version: str) -> tuple[int, ...]:
    digits = ("".join(filter(str.isdigit, part)) for part in version.split(".")[:3])
    return tuple(int(part) for part in digits if part)


def _text(version: Any) -> str:
    return ".".join(str(part) for part in version)
