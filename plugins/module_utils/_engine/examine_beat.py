# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking the schedule over: whether beat runs it, and whether workers know its tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from .application import Configuration
from .beat import PeriodicTask, describe
from .beat_versions import MISSED, MISSED_FIX, may_be_missed
from .builtin_cleanup import NAME
from .crontab import previous_due
from .errors import UsageError
from .findings import Finding, error, warning
from .maintenance_schedule import is_maintenance

_GRACE = timedelta(minutes=10)


def examine_schedule(
    tasks: Mapping[str, PeriodicTask], now: datetime, configuration: Configuration | None, *, wanted: bool = False
) -> Iterator[Finding]:
    """Yield what is wrong with the periodic tasks.

    :param tasks: all of them, by name
    :param now: by the database's clock, aware
    :param configuration: what the application says of itself
    :param wanted: whether the built-in task is to run
    """
    enabled = [task for task in tasks.values() if task.enabled]
    yield from _overdue(enabled, now)
    if configuration is None:
        return
    fix = "Remove it with the module periodic_task"
    yield from _unknown({task.name: task.task for task in enabled}, configuration, fix)
    yield from _not_loaded(enabled, configuration)
    builtin = tasks.get(NAME)
    if wanted:
        yield from _idle(describe(builtin) if builtin is None or not builtin.enabled else None, configuration)
    elif builtin is None:
        yield from _returning(configuration, "Disable it with the module backend_cleanup")
    elif builtin.enabled:
        yield warning(
            "backend_cleanup_enabled",
            f"{NAME} runs at {builtin.crontab} and deletes every result that is older than result_expires.",
            "Retire it with the playbook migrate, or say by migrate_strategy in the inventory that it is wanted.",
        )


def examine_own_schedule(configuration: Configuration, *, wanted: bool = False) -> Iterator[Finding]:
    """Yield what is wrong with the periodic tasks of an application that keeps none in a database.

    Beat has those of ``beat_schedule``, and installs the built-in one where the result backend needs it.
    """
    yield from _unknown(configuration.beat_schedule, configuration, "Take it out of the application's beat_schedule")
    if configuration.result_backend in ("", "disabled") or configuration.expires_by_itself:
        return
    if wanted:
        yield from _idle(None, configuration)
    else:
        yield from _returning(configuration, "Say by migrate_strategy in the inventory that it is wanted")


def _idle(state: str | None, configuration: Configuration) -> Iterator[Finding]:
    """Yield why the built-in task deletes nothing, though it is wanted.

    :param state: its row's, in words, where that keeps it from running
    """
    if not configuration.result_expires:
        why = "the application sets no result_expires"
        fix = "Set result_expires in the application to how long results are to be kept."
    elif state is not None:
        why, fix = f"it is {state}", "Run the playbook migrate, or the module backend_cleanup with state present."
    else:
        return
    yield warning("backend_cleanup_idle", f"{NAME} is wanted, and deletes nothing: {why}.", fix)


def _returning(configuration: Configuration, fix: str) -> Iterator[Finding]:
    """Yield that beat installs the built-in task, where it does."""
    if NAME in configuration.beat_schedule:
        why, end = f"has {NAME} in beat_schedule", "take it out of the application's beat_schedule"
    elif configuration.result_expires:
        why, end = "sets result_expires", "set result_expires to None in the application"
    else:
        return
    yield warning(
        "backend_cleanup_returns",
        f"The application {why}, so the next start of beat installs {NAME}, enabled.",
        f"{fix}, or {end}.",
    )


def _not_loaded(tasks: list[PeriodicTask], configuration: Configuration) -> Iterator[Finding]:
    names = [task.name for task in tasks if may_be_missed(task, configuration.versions)]
    if names:
        yield warning(
            "beat_misses_tasks",
            f"{MISSED} So it may never send {names[0]}"
            + (f", nor {len(names) - 1} other tasks." if len(names) > 1 else "."),
            MISSED_FIX,
        )


def _overdue(tasks: list[PeriodicTask], now: datetime) -> Iterator[Finding]:
    late = []
    for task in tasks:
        moments = (task.last_run_at, task.date_changed, task.start_time)
        known = max((moment for moment in moments if moment), default=None)
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
    try:
        return previous_due(task.crontab, task.timezone, before)
    except UsageError:
        return None  # Celery takes lines in which only it knows what they mean


def _unknown(tasks: Mapping[str, str], configuration: Configuration, fix: str) -> Iterator[Finding]:
    """Yield which of *tasks*, by their names in the schedule, the application does not have."""
    for name, task in tasks.items():
        # Those of the role beat_schedule are known to the workers, which need not be who was asked.
        if task not in configuration.tasks and not is_maintenance(task):
            yield warning(
                "periodic_task_unknown",
                f"The periodic task {name} runs {task}, which the application does not have.",
                f"{fix}, or put the task back into the application.",
            )
