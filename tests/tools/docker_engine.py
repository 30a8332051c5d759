# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Docker engine: the one that runs, else one that is started by hand and lasts as long as this process."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path

from workspace import BUILD, LOGS

_SECONDS_TO_START = 60.0
_DAEMONS = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


class NoDocker(RuntimeError):
    """Docker can't be used; the text says why."""


def missing() -> str | None:
    """What has to be installed or started before `start` can do its work."""
    if not _works("compose", "version"):
        return "the docker command and its plugin Compose v2"
    if not answers() and not _daemon():
        return "a Docker engine that answers, or as root dockerd and iptables"
    return None


def answers() -> bool:
    return _works("version")


def start() -> None:
    """Make sure that an engine answers; one that is started here ends with this process, as others may share it."""
    if lack := missing():
        raise NoDocker(f"Docker is missing: {lack}")
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "docker-engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not answers():
            _start()


def _start() -> None:
    daemon = _daemon()
    assert daemon is not None
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / "dockerd.log"
    with path.open("wb") as log:
        # In a session of its own: Ctrl-C must not reach it while containers are still to be removed.
        process = subprocess.Popen(
            [daemon], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    atexit.register(_stop, process)
    deadline = time.monotonic() + _SECONDS_TO_START
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            words = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise NoDocker(f"dockerd did not start: {words[-1] if words else 'it said nothing'}")
        time.sleep(0.2)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def _daemon() -> Path | None:
    if os.geteuid() != 0 or not shutil.which("iptables", path=_DAEMONS):
        return None
    found = shutil.which("dockerd", path=_DAEMONS)
    return Path(found) if found else None


def _works(*arguments: str) -> bool:
    try:
        done = subprocess.run(
            ["docker", *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
