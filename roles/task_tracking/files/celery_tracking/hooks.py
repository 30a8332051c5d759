# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two places of Celery that send no signal: a task's own progress, and how it was declared."""

from __future__ import annotations

from typing import Any

from celery.app.task import Task  # type: ignore[import-untyped]

from .handlers import Handlers
from .selection import OUTCOME_ONLY


def hook(handlers: Handlers) -> None:
    update_state, bind = Task.update_state, Task.bind.__func__

    def update_state_and_tell(
        self: Any, task_id: Any = None, state: Any = None, meta: Any = None, **options: Any
    ) -> Any:
        returned = update_state(self, task_id=task_id, state=state, meta=meta, **options)
        handlers.state_updated(self, task_id, state, meta)
        return returned

    def bind_and_look(cls: Any, app: Any) -> Any:
        # Celery is about to fill in its setting where the task says nothing.
        if cls.track_started is False and not cls.__bound__:
            setattr(cls, OUTCOME_ONLY, True)
        return bind(cls, app)

    Task.update_state = update_state_and_tell
    Task.bind = classmethod(bind_and_look)
