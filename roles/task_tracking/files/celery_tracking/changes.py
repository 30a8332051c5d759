# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a batch of records comes to: a row for each task, attempt, result, worker and queue.

Times stay numbers here. The rows that belong to a task begin with its id as Celery has it, ``task``.

Records arrive out of order, as a publisher and a worker write on their own. ``status_order`` says which of two is the
later: it grows with the attempt, and within one from PENDING over STARTED to an end. SUCCESS is the last word, as it is
for Celery's own backends.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from .records import FINISHED, OFFLINE, PROGRESS, PUBLISHED, QUEUE, STARTED, WORKER, Record

Row = dict[str, Any]

_RANKS = {"PENDING": 0, "STARTED": 1, "REJECTED": 1, "RETRY": 2, "SUCCESS": 4}
_ENDED = 3  # any other state of a task that is over: FAILURE, REVOKED, IGNORED
_PER_ATTEMPT = 8
_LAST_ATTEMPT = 1 << 20  # of a failure that came without its attempt's number
_MOST_NAME = 255
_MOST_QUEUE = 100
_MOST_STATUS = 50
#: The last second that Python and the databases know: what never expires may do so at the end of time.
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc).timestamp()


class Changes:
    """Collects records; each attribute holds the rows of one table."""

    def __init__(self, worker: str | None) -> None:
        self._worker = worker
        self.tasks: dict[str, Row] = {}
        self.metadata: dict[str, Row] = {}
        self.attempts: dict[tuple[str, int], Row] = {}
        self.results: dict[str, Row] = {}
        self.workers: dict[str, Row] = {}
        self.queues: list[Row] = []
        self.failures: set[str] = set()

    def add(self, record: Record) -> None:
        kind: Any
        kind, at, subject, *rest = record
        # An application may number its tasks.
        _COLLECT[kind](self, at, str(subject), *rest)

    def _task(self, task_id: str, name: str, at: Any, order: int, status: str, retries: int | None) -> Row:
        """The task's row, in which the later of two states wins."""
        row = self.tasks.get(task_id)
        if row is None:
            row = self.tasks[task_id] = {
                "task_id": clean(task_id, _MOST_NAME),
                "task_name": clean(name, _MOST_NAME),
                "status": clean(status, _MOST_STATUS),
                "status_order": order,
                "args": None,
                "kwargs": None,
                "error_message": None,
                "created_at": at,
                "started_at": None,
                "completed_at": None,
                "retries": retries or 0,
                "worker_name": None,
                "progress_state": None,
                "progress": None,
            }
            return row
        row["created_at"] = min(row["created_at"], at)
        row["retries"] = max(row["retries"], retries or 0)
        if order >= row["status_order"]:
            row["status"], row["status_order"] = clean(status, _MOST_STATUS), order
            row["error_message"] = row["completed_at"] = None
        return row

    def _describe(self, row: Row, task_id: str, at: Any, described: tuple[Any, ...]) -> None:
        args, kwargs, queue, exchange, priority, eta, expires, root_id, parent_id, origin, user_id = described
        if row["args"] is None and args is not None:
            row["args"], row["kwargs"] = clean(args), clean(kwargs)
        known = self.metadata.get(task_id)
        if known is not None:
            known["created_at"] = min(known["created_at"], at)
        else:
            self.metadata[task_id] = {
                "task": row["task_id"],
                "queue_name": clean(queue, _MOST_QUEUE),
                "exchange": clean(exchange, _MOST_NAME),
                "priority": priority,
                "eta": _moment(eta),
                "expires_at": _moment(expires),
                "root_id": clean(root_id, _MOST_NAME),
                "parent_id": clean(parent_id, _MOST_NAME),
                "origin": clean(origin, _MOST_NAME),
                "user_id": clean(user_id, _MOST_NAME),
                "created_at": at,
            }

    def _published(self, at: Any, task_id: Any, name: Any, retries: Any, *described: Any) -> None:
        # The next attempt of a task that waits for it: RETRY says more than PENDING.
        order = _PER_ATTEMPT * retries if not retries else -1
        row = self._task(task_id, name, at, order, "RETRY" if retries else "PENDING", retries)
        self._describe(row, task_id, at, described)

    def _started(self, at: Any, task_id: Any, name: Any, retries: Any, *described: Any) -> None:
        order = _PER_ATTEMPT * retries + _RANKS["STARTED"]
        row = self._task(task_id, name, at, order, "STARTED", retries)
        self._describe(row, task_id, at, described)
        # Of several attempts, the latest.
        row["started_at"] = max(row["started_at"] or at, at)
        if row["status_order"] == order:
            row["worker_name"] = self._worker
        self._attempt(task_id, retries, "STARTED", started=at)

    def _finished(
        self, at: Any, task_id: Any, name: Any, retries: Any, status: Any, result: Any, error: Any, traceback: Any,
        seconds: Any,
    ) -> None:  # fmt: skip
        rank = _RANKS.get(status, _ENDED)
        order = (_LAST_ATTEMPT if retries is None else _PER_ATTEMPT * retries) + rank
        started = None if seconds is None else at - seconds
        row = self._task(task_id, name, started or at, order, status, retries)
        error = clean(error)
        if row["status_order"] == order:
            row["error_message"], row["worker_name"] = error, self._worker
            row["completed_at"] = at if rank >= _ENDED else None
            if row["started_at"] is None:
                row["started_at"] = started
            if rank >= _ENDED:
                self.results[task_id] = {
                    "task": row["task_id"],
                    "status": row["status"],
                    "result": clean(result),
                    "traceback": clean(traceback),
                    "created_at": at,
                }
        if status == "FAILURE":
            self.failures.add(task_id)
        if retries is not None:
            self._attempt(task_id, retries, clean(status, _MOST_STATUS), started, at, error)

    def _attempt(
        self, task_id: str, retries: int, status: str, started: Any = None, completed: Any = None, error: Any = None
    ) -> None:
        row = self.attempts.get((task_id, retries))
        if row is None:
            row = self.attempts[task_id, retries] = {
                "task": clean(task_id, _MOST_NAME),
                "attempt_number": retries + 1,
                "status": status,
                "started_at": started,
                "completed_at": completed,
                "error_message": error,
                "worker_name": self._worker,
            }
            return
        # A start that arrives after its end changes neither.
        if row["status"] != "SUCCESS" and (completed is not None or row["completed_at"] is None):
            row["status"], row["completed_at"], row["error_message"] = status, completed, error
        row["started_at"] = row["started_at"] or started

    def _progressed(self, at: Any, task_id: Any, name: Any, retries: Any, state: Any, details: Any) -> None:
        order = -1 if retries is None else _PER_ATTEMPT * retries + _RANKS["STARTED"]
        row = self._task(task_id, name, at, order, "STARTED", retries)
        row["progress_state"], row["progress"] = clean(state, _MOST_STATUS), clean(details)

    def _worker_told(self, at: Any, worker: Any, status: Any, active: Any, processed: Any, born: Any) -> None:
        told = {
            "worker_name": clean(worker, _MOST_NAME),
            "status": status,
            "last_heartbeat": at,
            "active_tasks": active if status != OFFLINE else 0,
            "processed_tasks": processed,
            "started_at": born,
        }
        known = {name: value for name, value in told.items() if value is not None}
        self.workers[worker] = {**self.workers.get(worker, {}), **known}

    def _queue(self, at: Any, queue: Any, messages: Any) -> None:
        self.queues.append({"queue_name": clean(queue, _MOST_QUEUE), "message_count": messages, "recorded_at": at})


_COLLECT: dict[int, Any] = {
    PUBLISHED: Changes._published,
    STARTED: Changes._started,
    FINISHED: Changes._finished,
    PROGRESS: Changes._progressed,
    WORKER: Changes._worker_told,
    QUEUE: Changes._queue,
}


def clean(text: Any, most: int = 1 << 16) -> Any:
    """What every database takes: no NUL, no half of a character, no more than there is room for."""
    if not text or not isinstance(text, str):
        return text
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text[:most]


def _moment(text: Any) -> float | None:
    """A time as messages have it; without a zone it is UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return min((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp(), _LAST)
