# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker with the prefork pool and the recorder in it, and the program that sends it tasks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..applications.packages import folder_of
from ..running.collection import clean_environment
from ..servers.base import with_driver
from ..waiting import wait_until
from .package import SITECUSTOMIZE, tracking_path

_TESTS = Path(__file__).resolve().parents[2]
_APPLICATION = "support.tracking.application"


class TrackedWorker:
    """From the moment in which it is ready to the end of the `with`."""

    def __init__(
        self,
        url: str,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        celery_version: str | None = None,
        path: Path | None = None,
    ) -> None:
        """
        :param arguments: of `celery worker`, beside those that every test wants
        :param settings: of the recorder, by their names without the prefix
        :param path: what goes on PYTHONPATH in place of the checkout's packages
        """
        self._folder = tempfile.TemporaryDirectory(prefix="fleet-tracking-")
        self.folder = Path(self._folder.name)
        (self.folder / "control").mkdir()
        self.log = self.folder / "log"
        self._arguments = arguments
        celery = folder_of("celery", celery_version)
        folders = [SITECUSTOMIZE, path or tracking_path(), celery, _TESTS]
        self.environment = clean_environment(
            {
                "PYTHONPATH": os.pathsep.join(str(folder) for folder in folders if folder),
                "TRACKED_FOLDER": str(self.folder),
                "CELERY_TRACKING_DATABASE_URL": with_driver(url).render_as_string(hide_password=False),
                "CELERY_TRACKING_QUEUE_INTERVAL": "1",
                "C_FORCE_ROOT": "1",
                **{f"CELERY_TRACKING{name}": value for name, value in (settings or {}).items()},
            }
        )
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", _APPLICATION, "worker", "--pool=prefork", "--concurrency=2",
                 "--hostname=worker@test", "--without-mingle", "--without-gossip", "--loglevel=INFO", *self._arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Self:
        try:
            self.wait_for_log("ready.")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.text)
        self.kill()
        self._folder.cleanup()

    def restart(self) -> None:
        self.stop()
        self.log.write_text("")
        self.process = self._start()
        self.wait_for_log("ready.")

    def stop(self) -> None:
        """As `docker compose stop` does: a warm shutdown, with all that belongs to it."""
        self.process.terminate()
        self.process.wait(30)

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_log(self, text: str, seconds: float = 60.0) -> None:
        wait_until(lambda: text in self.text or self.process.poll() is not None, seconds)
        assert text in self.text, self.text

    def python(self, program: str, **settings: str) -> str:
        """Run a program in a process of the application; what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", f"from {_APPLICATION} import *\n{program}"],
            env={**self.environment, **settings},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def send(self, *calls: str, **settings: str) -> list[str]:
        """Send tasks, each written as `add.si(1, 2)`, from a publisher that ends; their ids."""
        program = "import json\nprint(json.dumps([call.delay().id for call in (" + ", ".join(calls) + ",)]))"
        ids: list[str] = json.loads(self.python(program, **settings).splitlines()[-1])
        return ids

    def touch(self, flag: str) -> None:
        (self.folder / flag).touch()

    def journal(self) -> list[dict[str, Any]]:
        """What its tasks really did."""
        path = self.folder / "journal"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for_journal(self, entries: int, seconds: float = 60.0) -> None:
        wait_until(lambda: len(self.journal()) >= entries, seconds)
