# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In the worker's main process: starts its writer, watches it, and looks at its queues."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from typing import Any, Callable

from .finishing import MOST_SECONDS
from .libraries import HOME
from .pipe import PipeWriter, open_pipe
from .queues import queue_lengths
from .records import ONLINE, QUEUE, pack
from .settings import PREFIX, Settings

_log = logging.getLogger("celery_tracking")

_LOOK = 5.0  # seconds between two looks at the writer
_HEARTBEAT = 10.0  # seconds between two heartbeats in the database; Celery sends five times as many
_FINISH_SECONDS = MOST_SECONDS + 5.0  # the writer itself sees to it that it ends, and sooner where the database is away


class Supervisor:
    def __init__(self, settings: Settings, worker: str, born: float) -> None:
        self._settings = settings
        self._worker, self._born = worker, born
        # Kept open, so that a writer which was killed leaves the pipe to its successor.
        self._reading, writing = open_pipe()
        self.pipe = PipeWriter(writing)
        self._heartbeat = 0.0
        self._finished = threading.Event()
        self._process = self._start_writer()

    def start(self, app: Any, tell: Callable[[str], None]) -> None:
        """Begin to watch, once the worker is ready."""
        threading.Thread(target=self._watch, args=(app, tell), name="celery-tracking", daemon=True).start()

    def heartbeat_is_due(self) -> bool:
        now = time.monotonic()
        if now - self._heartbeat < _HEARTBEAT:
            return False
        self._heartbeat = now
        return True

    def finish(self) -> None:
        """Wait until the writer has written everything, or has given up."""
        self._finished.set()
        self.pipe.close()
        try:
            self._process.wait(_FINISH_SECONDS)
        except subprocess.TimeoutExpired:
            _log.warning("The writer of what is tracked has not finished within %.0f s.", _FINISH_SECONDS)

    def _start_writer(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            # Not tracked itself: it is to import nothing of Celery.
            PREFIX: "off",
            "PYTHONPATH": os.pathsep.join(filter(None, (HOME, os.environ.get("PYTHONPATH")))),
        }
        return subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.process", str(self._reading), self._worker, str(self._born)],
            env=environment,
            stdin=subprocess.DEVNULL,
            pass_fds=[self._reading],
            # What ends the worker's group must not end it: it goes when all has been written.
            start_new_session=True,
        )

    def _watch(self, app: Any, tell: Callable[[str], None]) -> None:
        interval = self._settings.queue_interval
        next_queues = time.monotonic() + min(interval, 1.0)
        while not self._finished.wait(min(_LOOK, interval or _LOOK)):
            if self._process.poll() is not None and not self._finished.is_set():
                _log.warning("The writer of what is tracked has ended with %s; a new one starts.", self._process.poll())
                self._process = self._start_writer()
            # A worker may run without heartbeats of its own.
            if self.heartbeat_is_due():
                tell(ONLINE)
            if interval and time.monotonic() >= next_queues:
                next_queues = time.monotonic() + interval
                self._record_queues(app)

    def _record_queues(self, app: Any) -> None:
        try:
            for queue, messages in queue_lengths(app):
                self.pipe.put(pack((QUEUE, time.time(), queue, messages)))
        except Exception as error:
            _log.debug("The queues' lengths are unknown: %s", type(error).__name__)
