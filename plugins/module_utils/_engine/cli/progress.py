# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a purge has come: a bar on a terminal, now and then a line in a log."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

from ..pace import Pace, Rhythm

_WIDTH = 24
_ON_TERMINAL = 0.2  # seconds between two bars
_IN_LOG = Rhythm(seconds=10, step=0.1)


class Progress:
    """Shows the pace of one table after another on standard error."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._terminal = sys.stderr.isatty()
        self._bar = False

    def of(self, table: str) -> Callable[[Pace], None]:
        """Return what is told the pace of the purge of *table*."""
        told: Pace | None = None
        last = time.monotonic()

        def watch(pace: Pace) -> None:
            nonlocal told, last
            now = time.monotonic()
            if self._terminal:
                if told is None or now - last >= _ON_TERMINAL:
                    told, last = pace, now
                    self._draw(table, pace)
            elif now - last >= _IN_LOG.seconds and _IN_LOG.is_news(pace, told):
                told, last = pace, now
                self._say(f"{table}: {pace.text}")

        return watch

    def clear(self) -> None:
        """Take the bar away, so that the next line has the place."""
        if self._bar:
            self._write("\r\033[K")
            self._bar = False

    def _draw(self, table: str, pace: Pace) -> None:
        filled = int(_WIDTH * pace.share) if pace.share is not None else None
        drawn = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] " if filled is not None else ""
        line = f"{drawn}{table}: {pace.text}"
        # One that is broken into two lines could not be taken away.
        self._write(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}")
        self._bar = True

    @staticmethod
    def _write(text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            pass  # the terminal has gone; the work goes on
