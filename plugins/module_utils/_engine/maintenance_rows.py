# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The maintenance tasks' rows of django-celery-beat, of which there are those that are wanted and no others."""

from __future__ import annotations

from .beat import Beat, PeriodicTask
from .errors import UsageError
from .maintenance_schedule import Entry, Schedule, is_maintenance
from .scheduling import Change, remove_task, set_task

#: By it the rows are known again, whatever they are called.
_DESCRIPTION = "Made by the role fleetops.celery.beat_schedule."


def set_rows(beat: Beat, schedule: Schedule | None, *, check: bool) -> dict[str, Change]:
    """Make or change the rows of *schedule*, and remove others that were made here; return each before and after.

    :param schedule: ``None`` for no row at all
    :raises UsageError: where a row of that name is somebody else's, before anything is changed
    """
    entries = schedule.entries if schedule else ()
    there = {entry.name: beat.find(entry.name) for entry in entries}
    for row in there.values():
        _check_ours(row)
    changes = {entry.name: _set(beat, entry, schedule, check=check) for entry in entries if schedule}
    # As the database spells it, which may compare names without regard to case.
    wanted = {*there, *(row.name for row in there.values() if row)}
    for row in beat.tasks():
        if row.name not in wanted and is_maintenance(row.task) and row.description == _DESCRIPTION:
            changes[row.name] = remove_task(beat, row.name, check=check)
    return changes


def _check_ours(row: PeriodicTask | None) -> None:
    if row is not None and not is_maintenance(row.task):
        raise UsageError(
            f"There is already a periodic task {row.name}, which runs {row.task} of the application. "
            "Give the entry of the schedule another name."
        )


def _set(beat: Beat, entry: Entry, schedule: Schedule, *, check: bool) -> Change:
    given = {
        "task": entry.task,
        "kwargs": entry.kwargs,
        "queue": schedule.queue or "",
        "description": _DESCRIPTION,
        **({} if schedule.priority is None else {"priority": schedule.priority}),
    }
    return set_task(beat, entry.name, given, crontab=entry.crontab, timezone=schedule.timezone, check=check)
