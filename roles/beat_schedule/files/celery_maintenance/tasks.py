# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tasks. Their names begin with the package's, so that they never take the place of an application's own.

What a task needs beyond its arguments is in the policy file, never in a message: neither arguments nor results hold a
secret. Each of them may run twice at once: the second finds the table's lock taken, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from celery import Task, shared_task
from celery.utils.log import get_task_logger

from .engine.errors import CleanupError, DatabaseError

logger = get_task_logger(__name__)

_RETRIES = 3
_RETRY_SECONDS = 300


class MaintenanceTask(Task):  # type: ignore[misc]
    """Tries again where the database was away, and tells its log so."""

    #: What is wrong with a policy or an argument is told in one line, without a traceback, and not tried again.
    throws = (CleanupError,)
    autoretry_for = (DatabaseError,)
    max_retries = _RETRIES
    default_retry_delay = _RETRY_SECONDS
    #: How its errors begin in the log; its name where empty.
    error_words = ""

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        logger.error("%s: %s", self.error_words or f"Error in {self.name}", exc)

    def on_retry(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.on_failure(exc, task_id, args, kwargs, einfo)
        attempt = self.request.retries + 1
        logger.warning("Retrying task in %ss (attempt %s/%s)", self.default_retry_delay, attempt, self.max_retries)


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _task(function: _Function, **options: Any) -> _Function:
    name = f"celery_maintenance.{function.__name__}"
    task: _Function = shared_task(base=MaintenanceTask, name=name, **options)(function)
    return task


@_task
def run_policy(check: bool = False) -> dict[str, Any]:
    """Clean every table of the policy; with *check* only say what would be done."""
    from .whole_policy import run_policy as run

    done, failure = run(check)
    _told(done, "report")
    if failure:
        raise failure
    return done


@_task
def cleanup_celery_results(days_to_keep: int = 7, remove_revoked: bool = True) -> dict[str, Any]:
    """Delete finished results older than *days_to_keep* days, and revoked ones of any age."""
    from .results import cleanup_results, results_report

    done = cleanup_results(days_to_keep, remove_revoked)
    for line in results_report(done):
        logger.info(line)
    return done


@_task
def cleanup_processing_tasks() -> dict[str, Any]:
    """Fail processing tasks that hang, and delete old ones, as the policy's rules say."""
    from .processing import cleanup_processing

    return _told(cleanup_processing(check=False), "report")


@_task
def cleanup_processing_tasks_dry_run() -> dict[str, Any]:
    """Say what cleanup_processing_tasks would do."""
    from .processing import cleanup_processing

    return _told(cleanup_processing(check=True), "report")


@partial(_task, error_words="Error closing abandoned sessions")
def close_abandoned_sessions() -> dict[str, Any]:
    """Close reading sessions that nobody has ended."""
    from .sessions import close_sessions

    return close_sessions(logger)


@_task
def get_cleanup_statistics(hours: int = 24) -> dict[str, Any]:
    """Return statistics of reading sessions over the last *hours*, from 1 to 168."""
    from .sessions import count_sessions

    return count_sessions(hours)


def _told(done: dict[str, Any], key: str) -> dict[str, Any]:
    for line in done[key]:
        logger.info(line)
    return done
