# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The receivers of Celery's signals. They run inside the application, so they only build a record and hand it over."""

from __future__ import annotations

import functools
import logging
from time import time
from typing import Any, Callable
from uuid import UUID

from celery import signals  # type: ignore[import-untyped]

from .recorder import Recorder
from .records import (
    FINISHED,
    MOST_ERROR,
    MOST_TRACEBACK,
    MOST_VALUE,
    PROGRESS,
    PUBLISHED,
    STARTED,
    Record,
    text_of,
)
from .selection import EVERYTHING, NOTHING, Selection
from .settings import Settings

_log = logging.getLogger("celery_tracking")

_PLAIN = (str, int, UUID)
# States that a signal of their own, or Task.update_state, has told already.
_TOLD = frozenset(("SUCCESS", "FAILURE", "RETRY", None))


class Handlers:
    def __init__(self, settings: Settings, recorder: Recorder) -> None:
        self._selection = Selection(settings.mode, settings.patterns)
        self._with_arguments = settings.with_arguments
        self._recorder = recorder
        self._put = recorder.put

    def connect(self) -> None:
        for signal, receiver in (
            (signals.before_task_publish, self.published),
            (signals.task_prerun, self.started),
            (signals.task_success, self.succeeded),
            (signals.task_failure, self.failed),
            (signals.task_retry, self.retried),
            (signals.task_revoked, self.revoked),
            (signals.task_postrun, self.ended),
        ):
            # weak=False: nobody else keeps a wrapped receiver.
            signal.connect(_harmless(receiver), weak=False, dispatch_uid=f"celery_tracking.{receiver.__name__}")
        recorder = self._recorder
        for signal, method in (
            (signals.worker_init, recorder.worker_initialised),
            (signals.worker_ready, recorder.worker_ready),
            (signals.heartbeat_sent, recorder.heartbeat_sent),
            (signals.worker_shutdown, recorder.worker_shut_down),
            (signals.worker_process_init, recorder.process_initialised),
            (signals.worker_process_shutdown, recorder.process_shut_down),
        ):
            signal.connect(_harmless(method), weak=False, dispatch_uid=f"celery_tracking.{method.__name__}")

    def published(
        self,
        sender: Any,
        headers: Any,
        body: Any,
        properties: Any,
        exchange: Any,
        routing_key: Any,
        declare: Any,
        **_: Any,
    ) -> None:
        # Messages of the first protocol, which nobody sends unless told to, have no headers.
        if "id" not in headers or self._selection.of_name(sender) < EVERYTHING:
            return
        get = headers.get
        priority = properties.get("priority")
        self._put(
            (
                PUBLISHED,
                time(),
                headers["id"],
                sender,
                get("retries") or 0,
                *self._arguments(get("argsrepr"), get("kwargsrepr")),
                declare[0].name if declare else routing_key,
                exchange or None,
                priority,
                get("eta"),
                get("expires"),
                get("root_id"),
                get("parent_id"),
                get("origin"),
                self._user(body[1]),
            )
        )

    def started(self, sender: Any, task_id: str, **_: Any) -> None:
        if self._selection.of_task(sender) < EVERYTHING:
            return
        request = sender.request
        delivery = request.delivery_info or {}
        self._put(
            (
                STARTED,
                time(),
                task_id,
                sender.name,
                request.retries,
                *self._arguments(request.argsrepr, request.kwargsrepr),
                delivery.get("routing_key"),
                delivery.get("exchange") or None,
                delivery.get("priority"),
                request.eta,
                request.expires,
                request.root_id,
                request.parent_id,
                request.origin,
                self._user(request.kwargs),
            )
        )

    def succeeded(self, sender: Any, result: Any, runtime: float | None = None, **_: Any) -> None:
        if self._selection.of_task(sender) == NOTHING:
            return
        request = sender.request
        text = text_of(result) if self._with_arguments else None
        self._put((FINISHED, time(), request.id, sender.name, request.retries, "SUCCESS", text, None, None, runtime))

    def failed(self, sender: Any, task_id: str, exception: Any, einfo: Any = None, **_: Any) -> None:
        request = sender.request
        # In the worker's main process some failures come without their request.
        retries = request.retries if request.id == task_id else None
        self._finish(sender, task_id, retries, "FAILURE", _describe(exception), einfo)

    def retried(self, sender: Any, request: Any, reason: Any = None, einfo: Any = None, **_: Any) -> None:
        cause = getattr(reason, "exc", None) or reason
        self._finish(sender, request.id, request.retries, "RETRY", cause and _describe(cause), einfo)

    def revoked(self, sender: Any, request: Any, terminated: Any, signum: Any, expired: Any, **_: Any) -> None:
        why = "expired" if expired else f"terminated: {signum}" if terminated else "revoked"
        self._finish(sender, request.id, request.retries, "REVOKED", why)

    def ended(self, sender: Any, task_id: str, state: Any = None, **_: Any) -> None:
        if state not in _TOLD:
            self._finish(sender, task_id, sender.request.retries, str(state))

    def state_updated(self, sender: Any, task_id: Any, state: Any, meta: Any) -> None:
        try:
            if not isinstance(state, str) or self._selection.of_task(sender) < EVERYTHING:
                return
            request = sender.request
            task_id = task_id or request.id
            if task_id:
                retries = request.retries if request.id == task_id else None
                details = text_of(meta) if self._with_arguments else None
                self._put((PROGRESS, time(), task_id, sender.name, retries, state, details))
        except Exception:
            _log.debug("A task's progress was not recorded.", exc_info=True)

    def _finish(
        self,
        task: Any,
        task_id: str,
        retries: int | None,
        status: str,
        error: str | None = None,
        einfo: Any = None,
    ) -> None:
        if self._selection.of_task(task) == NOTHING:
            return
        traceback = getattr(einfo, "traceback", None)
        if traceback is not None:
            # Its end says most.
            traceback = str(traceback)[-MOST_TRACEBACK:]
        record: Record = (FINISHED, time(), task_id, task.name, retries, status, None, error, traceback, None)
        self._put(record)

    def _arguments(self, args: Any, kwargs: Any) -> tuple[str | None, str | None]:
        """As Celery shows them in its own log, where an application may have hidden what is secret."""
        if not self._with_arguments:
            return None, None
        return (args[:MOST_VALUE] if args else args), (kwargs[:MOST_VALUE] if kwargs else kwargs)

    def _user(self, kwargs: Any) -> str | None:
        """Return for whom a task works, where it is called with that."""
        user = kwargs.get("user_id") if self._with_arguments and kwargs else None
        # Exactly these: what the text of others costs, nobody knows.
        return str(user) if type(user) in _PLAIN else None


def _describe(exception: Any) -> str:
    text = str(exception)[:MOST_ERROR]
    return text if isinstance(exception, str) else f"{type(exception).__name__}: {text}"


def _harmless(receiver: Callable[..., None]) -> Callable[..., None]:
    """Whatever goes wrong in here, it is told once and is no task's concern."""
    told = False

    @functools.wraps(receiver)
    def receive(**arguments: Any) -> None:
        nonlocal told
        try:
            receiver(**arguments)
        except Exception:
            if not told:
                told = True
                _log.warning("%s failed; further failures are not logged.", receiver.__name__, exc_info=True)

    return receive
