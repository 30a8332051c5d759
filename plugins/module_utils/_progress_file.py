# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file in which a module tells the action plugin how far it has come.

It is **private** to the collection: it can change at any time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._engine.pace import Pace

#: The variable of the module's environment that names the file. An option would show in the task's result.
VARIABLE = "FLEETOPS_CELERY_PROGRESS"

_INTERVAL = 1.0  # seconds


@contextmanager
def progress_file() -> Iterator[Callable[[Pace], None] | None]:
    """Give what writes the file, or ``None`` if nobody reads it. The file is removed at the end."""
    name = os.environ.get(VARIABLE)
    if not name:
        yield None
        return
    writer = _Writer(os.path.expanduser(os.path.expandvars(name)))
    try:
        yield writer
    finally:
        writer.remove()


class _Writer:
    """Writes once a second at most, and no more after an error: the work goes on without it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._new = f"{path}.new"
        self._next = 0.0

    def __call__(self, pace: Pace) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        try:
            # As Ansible makes its folder of temporary files, where it made none before.
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with open(os.open(self._new, flags, 0o600), "w", encoding="ascii") as file:
                json.dump([pace.done, pace.seconds, pace.matched, pace.estimated, pace.held_by], file)
            os.replace(self._new, self._path)
        except OSError:
            self._next = float("inf")

    def remove(self) -> None:
        for path in (self._new, self._path):
            try:
                os.unlink(path)
            except OSError:
                pass  # it was never made
