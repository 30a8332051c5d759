# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A thread that writes what a publisher records: a web process, beat, or whatever else sends tasks."""

from __future__ import annotations

import threading

from .buffer import Buffer
from .finishing import finish
from .settings import Settings


class LocalWriter:
    """Made at the first record, so never before a web server has forked."""

    def __init__(self, settings: Settings, worker: str | None, born: float | None) -> None:
        self._buffer = Buffer(settings.buffer_records, settings.buffer_bytes)
        self._worker, self._born = worker, born
        self._thread = threading.Thread(target=self._run, name="celery-tracking", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        self._buffer.put((data,))

    def finish(self) -> None:
        """Write what is left, as long as the database takes it."""
        finish(self._buffer, self._thread)

    def _run(self) -> None:
        from .writer import Writer

        Writer(self._buffer, self._worker, self._born).run()
