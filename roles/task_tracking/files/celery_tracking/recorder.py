# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the records of this process go: to the worker's writer through a pipe, elsewhere to a thread."""

from __future__ import annotations

import atexit
import logging
import os
from time import time
from typing import Any

from .local import LocalWriter
from .records import END, OFFLINE, ONLINE, WORKER, Record, pack
from .settings import Settings
from .supervisor import Supervisor

_log = logging.getLogger("celery_tracking")


class Recorder:
    """One for each process; a forked one goes on with its parent's pipe, and with a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._supervisor: Supervisor | None = None
        self._worker: str | None = None
        self._main_process = 0
        self._born: float | None = None
        self._forget_thread()
        os.register_at_fork(after_in_child=self._forget_thread)
        atexit.register(self._finish)

    def _forget_thread(self) -> None:
        self._local: LocalWriter | None = None

    def put(self, record: Record) -> None:
        if self._supervisor is not None:
            self._supervisor.pipe.put(pack(record))
            return
        if self._local is None:
            self._local = LocalWriter(self._settings, self._worker, self._born)
        self._local.put(pack(record))

    def worker_initialised(self, sender: Any, **_: Any) -> None:
        """The worker's main process, before it forks."""
        self._worker = sender.hostname
        self._main_process = os.getpid()
        self._born = born = time()
        try:
            self._supervisor = Supervisor(self._settings, sender.hostname, born)
        except OSError as error:
            _log.warning("A thread of the worker writes what is tracked, for no process could be made: %s", error)

    def worker_ready(self, sender: Any, **_: Any) -> None:
        self._tell(ONLINE)
        if self._supervisor is not None:
            self._supervisor.start(sender.app, self._tell)

    def heartbeat_sent(self, sender: Any, **_: Any) -> None:
        if self._supervisor is not None and self._supervisor.heartbeat_is_due():
            self._tell(ONLINE)

    def process_initialised(self, sender: Any = None, **_: Any) -> None:
        """A pool's process; where it was not forked, it knows no pipe and not even its worker."""
        self._worker = self._worker or sender

    def process_shut_down(self, **_: Any) -> None:
        if os.getpid() != self._main_process:
            self._finish()

    def worker_shut_down(self, **_: Any) -> None:
        self._tell(OFFLINE)
        if self._supervisor is not None:
            self._supervisor.pipe.put(pack((END, time())))
            self._supervisor.finish()

    def _tell(self, status: str) -> None:
        from celery.worker import state  # type: ignore[import-untyped]

        active, processed = len(state.active_requests), state.all_total_count[0]
        self.put((WORKER, time(), self._worker, status, active, processed, self._born))

    def _finish(self) -> None:
        if self._local is not None:
            self._local.finish()
        if self._supervisor is not None:
            self._supervisor.pipe.close()
