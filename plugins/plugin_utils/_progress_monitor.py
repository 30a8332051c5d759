# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows the progress of a module while it runs.

It is **private** to the collection: it can change at any time.
"""

from __future__ import annotations

import contextvars
import json
import os
import sys
import threading
from collections.abc import Callable
from multiprocessing.util import Finalize
from typing import Any

from ansible.utils.display import Display
from ansible_collections.fleetops.celery.plugins.module_utils._engine.pace import GATES, Pace, Rhythm

display = Display()

_LONGEST = 200  # characters; four numbers and the name of a gate take fewer
_PATIENCE = 5.0  # seconds for a look that is under way when the module has ended


ON_TERMINAL = Rhythm(seconds=2, step=0)
ELSEWHERE = Rhythm(seconds=30, step=0.1)

# Looked up when the play's strategy loads the action plugin: that happens in the main process, whose terminal it
# is; its workers are cut off from it. AWX runs everything in a terminal that nobody watches.
_HAS_TERMINAL = sys.stderr.isatty() and "AWX_ISOLATED_DATA_DIR" not in os.environ


def rhythm() -> Rhythm:
    return ON_TERMINAL if _HAS_TERMINAL else ELSEWHERE


class Monitor:
    """Looks at a module's progress in a thread of its own, and shows lines on standard error.

    It never disturbs the task: where it fails it becomes silent.

    :param connect: returns what reads the progress file; called at the first look, so that a short run costs nothing
    """

    _running: Monitor | None = None

    def __init__(self, connect: Callable[[], Callable[[], str]], host: str, rhythm: Rhythm) -> None:
        self._connect = connect
        self._host = host
        self._rhythm = rhythm
        self._over = threading.Event()
        self._speaking = threading.Lock()
        # With the context of the task, which Ansible's own functions ask for.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._watch,), daemon=True)

    def start(self) -> None:
        # A task with poll is over when its loop begins the next item.
        if Monitor._running:
            Monitor._running.finish()
        Monitor._running = self
        try:
            self._thread.start()
        except RuntimeError as error:
            self._say(display.vvv, f"No progress is shown: {error}", host=self._host)
            self._over.set()
        # A process must not end within a message to the main one: the others would wait for their turn for ever.
        Finalize(None, self.finish, exitpriority=0)

    def finish(self) -> None:
        """Say nothing from now on."""
        with self._speaking:
            self._over.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)

    def _watch(self) -> None:
        told: Pace | None = None
        read: Callable[[], str] | None = None
        try:
            while not self._over.wait(self._rhythm.seconds):
                read = read or self._connect()
                pace = read_pace(read())
                if pace is not None and self._rhythm.is_news(pace, told):
                    self._say(display.display, f"{self._host}: {pace.text}", stderr=True)
                    told = pace
        except Exception as error:
            self._say(display.vvv, f"No more progress is shown: {error}", host=self._host)

    def _say(self, show: Callable[..., None], text: str, **options: Any) -> None:
        with self._speaking:
            if not self._over.is_set():
                show(text, **options)


def read_pace(text: str) -> Pace | None:
    """Return what the file says; ``None`` for anything else, as it comes from another host.

    A shell may have said something before.
    """
    try:
        document: Any = json.loads(text.strip().rpartition("\n")[2][:_LONGEST])
    except ValueError:
        return None
    if not isinstance(document, list) or len(document) != 5 or document[-1] not in (None, *GATES):
        return None
    return Pace(*document) if [type(value) for value in document[:-1]] in _FORMS else None


_FORMS = ([int, float, int, bool], [int, float, type(None), bool])
