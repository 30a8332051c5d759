# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A `celery` command of an application: started, its log read, stopped."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class CeleryProcess:
    """From the moment in which it is ready to the end of the `with`."""

    #: What its log says when it is ready.
    ready: str

    def __init__(self, arguments: Sequence[str], environment: Callable[[Path], dict[str, str]]) -> None:
        """
        :param arguments: of `celery`, from the subcommand on
        :param environment: makes it from the folder that stands in for a broker
        """
        self._folder = tempfile.TemporaryDirectory(prefix="fleet-celery-")
        self._broker, self._log = Path(self._folder.name, "broker"), Path(self._folder.name, "log")
        self.environment = environment(self._broker)
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "support.applications.celery_app", *arguments],
                cwd=self._folder.name,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        try:
            self.wait_for(self.ready, seconds=60)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """As `docker compose stop` does: it finishes what it is at, and ends."""
        try:
            # Seen once: beat went on, as if it had never been told. Python drops what a signal's handler raises within
            # a finalizer, and beat ends by what its handler raises.
            if not (self._ends() or self._ends()):
                raise AssertionError(f"told to end twice, it went on:\n{self.log[-6000:]}")
        finally:
            self._process.kill()
            self._process.wait()
            self._folder.cleanup()

    def _ends(self) -> bool:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        return self._process.poll() is not None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float, after: int = 0) -> float:
        """Wait until the log has *text* behind the first *after* characters; the seconds that it took."""
        started = time.monotonic()
        while text not in self.log[after:]:
            if self._process.poll() is not None or time.monotonic() > started + seconds:
                raise AssertionError(f"the log did not have {text!r} within {seconds} s:\n{self.log[-6000:]}")
            time.sleep(0.05)
        return time.monotonic() - started
