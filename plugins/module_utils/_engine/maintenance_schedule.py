# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schedule of a deployment's maintenance, checked before anything is installed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .crontab import check_timezone, parse_crontab
from .errors import UsageError

#: The tasks, and what each takes.
TASKS: dict[str, dict[str, type]] = {
    "run_policy": {"check": bool},
    "cleanup_celery_results": {"days_to_keep": int, "remove_revoked": bool},
    "cleanup_processing_tasks": {},
    "cleanup_processing_tasks_dry_run": {},
    "close_abandoned_sessions": {},
    "get_cleanup_statistics": {"hours": int},
}
_WORDS = {bool: "true or false", int: "a whole number from 1 on"}
_PACKAGE = "celery_maintenance"
_HIGHEST_PRIORITY = 10  # the sidecar's queue has no more, and few brokers do
# What every broker takes.
_QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")


@dataclass(frozen=True)
class Entry:
    """A task, and when it runs."""

    name: str
    task: str  #: as workers know it
    crontab: str
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Schedule:
    """What beat does. Without a queue, the application's own choice."""

    entries: tuple[Entry, ...]
    timezone: str
    queue: str | None = None
    priority: int | None = None


def parse_schedule(
    entries: Sequence[Mapping[str, Any]], *, timezone: str, queue: str | None, priority: int | None
) -> Schedule:
    """Read a schedule.

    :raises UsageError: naming what is wrong
    """
    if queue and not _QUEUE.fullmatch(queue):
        raise UsageError(
            f"queue {queue!r} cannot be a queue's name: it has up to 100 letters, digits and . _ : -, "
            "and begins with a letter or digit."
        )
    if priority is not None and not 0 <= priority <= _HIGHEST_PRIORITY:
        raise UsageError(f"priority must lie between 0 and {_HIGHEST_PRIORITY}, not {priority}.")
    if not entries:
        raise UsageError("The schedule has no task.")
    names = [entry["name"] for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"The schedule has two entries called {name}.")
    read = tuple(_entry(entry) for entry in entries)
    return Schedule(read, check_timezone(timezone), queue or None, priority)


def is_maintenance(task: str) -> bool:
    """Whether *task*, by its full name, is one of the package's."""
    return task.startswith(f"{_PACKAGE}.")


def _entry(entry: Mapping[str, Any]) -> Entry:
    name, task = entry["name"], entry["task"].removeprefix(f"{_PACKAGE}.")
    if not name.strip() or len(name) > 200:
        raise UsageError("name: an entry's name must have from 1 to 200 characters.")
    if task not in TASKS:
        raise UsageError(f"{name}: there is no maintenance task {entry['task']!r}; there are {', '.join(TASKS)}.")
    try:
        parse_crontab(entry["crontab"])
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    kwargs = entry.get("kwargs") or {}
    _check_kwargs(f"{name}: kwargs", kwargs, TASKS[task])
    return Entry(name, f"{_PACKAGE}.{task}", entry["crontab"], kwargs)


def _check_kwargs(where: str, kwargs: Mapping[str, Any], known: Mapping[str, type]) -> None:
    """Raise :class:`UsageError` where a task would refuse *kwargs*, each time that it is due."""
    unknown = sorted(set(kwargs) - set(known))
    if unknown:
        raise UsageError(f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(known) or 'none'}.")
    for key, value in kwargs.items():
        # Python counts True as a number.
        number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not (number if known[key] is int else isinstance(value, known[key])):
            raise UsageError(f"{where}: {key} must be {_WORDS[known[key]]}, not {value!r}.")
