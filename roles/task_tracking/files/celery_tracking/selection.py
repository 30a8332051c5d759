# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tasks are tracked, and how closely."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

NOTHING, OUTCOME, EVERYTHING = 0, 1, 2

#: Set on tasks with an explicit ``track_started=False``: of these only the outcome is recorded.
OUTCOME_ONLY = "_tracking_outcome_only"


class Selection:
    """Decides once for each task: by its attribute ``track``, then by the mode and the patterns."""

    def __init__(self, mode: str, patterns: tuple[str, ...]) -> None:
        self._critical = mode == "critical"
        self._patterns = patterns
        self._known: dict[str, int] = {}

    def of_task(self, task: Any) -> int:
        name: str = task.name
        level = self._known.get(name)
        if level is None:
            level = self._known[name] = self._decide(name, task)
        return level

    def of_name(self, name: str) -> int:
        """The same for a publisher, which may not have the task's code."""
        level = self._known.get(name)
        if level is not None:
            return level
        from celery import current_app  # type: ignore[import-untyped]

        # Not .tasks, which would import all of the application's tasks at the first publication.
        task = current_app._tasks.get(name)
        return self.of_task(task) if task is not None else self._decide(name, None)

    def _decide(self, name: str, task: Any) -> int:
        track = getattr(task, "track", None)
        if track is None:
            track = not self._critical or any(fnmatchcase(name, pattern) for pattern in self._patterns)
        if not track:
            return NOTHING
        return OUTCOME if getattr(task, OUTCOME_ONLY, False) else EVERYTHING
