# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a server as a child process: its folder, its port, the user it runs as, and its end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1

# Servers refuse to run as root; this user is there on every system, so none has to be made.
UNPRIVILEGED_USER = "nobody"


def service_user() -> str | None:
    """The user that servers run as: somebody harmless when we are root, else ourselves (None)."""
    return UNPRIVILEGED_USER if os.geteuid() == 0 else None


def give_to_service(*paths: Path) -> None:
    """Hand files and folders (with what is in them) to the user that servers run as."""
    user = service_user()
    if user is None:
        return
    entry = pwd.getpwnam(user)
    for path in paths:
        for found in (path, *path.rglob("*")):
            os.chown(found, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def new_folder(purpose: str) -> Path:
    """A folder of a short name, as a unix socket's path must not exceed 107 characters, which the service may enter."""
    base = None if len(tempfile.gettempdir()) < 40 else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix=f"fleet-{purpose}-", dir=base))
    folder.chmod(0o755)
    give_to_service(folder)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """Linux stops the server when we are killed outright and can't stop it ourselves."""
    with contextlib.suppress(OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _environment(folder: Path) -> dict[str, str]:
    """Ours without what would redirect a server or its tools: a PGDATA or a MYSQL_HOME of the person's own.

    Temporary files go into the server's *folder*: MariaDB, when it starts, removes those of all others beside its own.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "MYSQL", "MARIADB"))}
    return {**kept, "HOME": str(folder), "TMPDIR": str(folder)}


def run_tool(command: Sequence[str | Path], folder: Path) -> None:
    """Run a tool that belongs to a server, as the server's user; its output is the error's text when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=_environment(folder),
        user=service_user(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed ({done.returncode}): {done.stdout}{done.stderr}")


class ServerProcess:
    """A running server with its log; `stop` ends it, at first politely."""

    def __init__(self, command: Sequence[str | Path], folder: Path, stop_signal: signal.Signals) -> None:
        self.folder = folder
        self.log = folder / "log"
        self._command = [str(part) for part in command]
        self._stop_signal = stop_signal
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=_environment(self.folder),
                user=service_user(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for us: the server goes when the tests are done with it.
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    def wait_until_ready(self, answers: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended while starting: {self.log.read_text(errors='replace')[-4000:]}")
            if answers():
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"the server did not answer: {self.log.read_text(errors='replace')[-4000:]}")

    def stop(self, seconds: float = 30.0) -> None:
        if self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
