# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking the schedule over: whether beat runs it, and whether workers know its tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from .application import Configuration
from .beat import PeriodicTask
from .builtin_cleanup import NAME
from .crontab import previous_due
from .findings import Finding, error, warning
from .maintenance_schedule import is_maintenance

_GRACE = timedelta(minutes=10)


def examine_schedule(
    tasks: Mapping[str, PeriodicTask], now: datetime, configuration: Configuration | None
) -> Iterator[Finding]:
    """Yield what is wrong with the periodic tasks.

    :param tasks: all of them, by name
    :param now: by the database's clock, aware
    :param configuration: what the application says of itself
    """
    enabled = [task for task in tasks.values() if task.enabled]
    yield from _overdue(enabled, now)
    if configuration is None:
        return
    yield from _unknown(enabled, configuration)
    builtin = tasks.get(NAME)
    if configuration.result_expires and builtin is None:
        yield warning(
            "backend_cleanup_returns",
            f"The application sets result_expires, so the next start of beat installs {NAME}, enabled.",
            "Disable it with the module backend_cleanup, or set result_expires to None in the application.",
        )
    elif builtin is not None and builtin.enabled:
        yield warning(
            "backend_cleanup_enabled",
            f"{NAME} runs at {builtin.crontab} and deletes every result that is older than result_expires.",
            "Retire it with the playbook migrate, unless it is wanted.",
        )


def _overdue(tasks: list[PeriodicTask], now: datetime) -> Iterator[Finding]:
    late = []
    for task in tasks:
        known = max((moment for moment in (task.last_run_at, task.date_changed) if moment), default=None)
        if known is None:
            continue
        due = _due(task, known, now - _GRACE)
        if due is not None and known < due:
            late.append((due, task))
    if late:
        due, task = max(late, key=lambda one: one[0])
        yield error(
            "beat_not_scheduling",
            f"Beat has not sent {task.name}, which was due at {due:%Y-%m-%d %H:%M} UTC"
            + (f", nor {len(late) - 1} other tasks that were due." if len(late) > 1 else "."),
            "Start beat, and see its log for errors; one beat only may run for a schedule.",
        )


def _due(task: PeriodicTask, known: datetime, before: datetime) -> datetime | None:
    """Return when *task* was last due before *before*, as its schedule says."""
    if task.interval is not None:
        due = known + task.interval
        return due if due < before else None
    if task.crontab is None or task.timezone is None:
        return None
    return previous_due(task.crontab, task.timezone, before)


def _unknown(tasks: list[PeriodicTask], configuration: Configuration) -> Iterator[Finding]:
    for task in tasks:
        # Those of the role beat_schedule are known to the workers, which need not be who was asked.
        if task.task not in configuration.tasks and not is_maintenance(task.task):
            yield warning(
                "periodic_task_unknown",
                f"The periodic task {task.name} runs {task.task}, which the application does not have.",
                "Remove it with the module periodic_task, or put the task back into the application.",
            )
