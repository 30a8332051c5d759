# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making, changing and removing one periodic task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Optional

from .beat import Beat, PeriodicTask
from .crontab import check_timezone, format_crontab, parse_crontab
from .errors import UsageError

#: What of a periodic task may be given, beside its schedule.
COLUMNS = ("task", "args", "kwargs", "queue", "priority", "expire_seconds", "enabled", "description")
#: What Django keeps a positive whole number in.
_LONGEST_EXPIRY = 2**31 - 1

#: Why no interval is taken, and what to give instead.
NO_INTERVALS = (
    "Beat counts an interval from the last run, and from its own start until there was one: so daily work moves "
    "through the day, or never runs where beat restarts daily. Say when it runs by crontab, such as 0 3 * * *."
)

Change = tuple[Optional[PeriodicTask], Optional[PeriodicTask]]


def counts_days(task: PeriodicTask | None) -> bool:
    """Whether *task* does daily work by an interval."""
    return task is not None and task.crontab is None and (task.interval or timedelta(0)) >= timedelta(days=1)


def remove_task(beat: Beat, name: str, *, check: bool) -> Change:
    """Remove the task called *name*; return it before and after."""
    before = beat.find(name)
    if before is not None and not check:
        beat.delete(name)
    return before, None


def set_task(
    beat: Beat, name: str, given: Mapping[str, Any], *, crontab: str | None, timezone: str | None, check: bool
) -> Change:
    """Make or change the task called *name* so that it has what is *given*; return it before and after.

    :param given: some of :data:`COLUMNS`
    :raises UsageError: before anything is changed
    """
    before = beat.find(name)
    _validate(name, given)
    if "queue" in given:
        given = {**given, "queue": given["queue"] or None}
    schedule = _schedule(beat, before, crontab, timezone)
    if before is None:
        if "task" not in given or schedule is None:
            raise UsageError(f"There is no periodic task {name}; to make it, give task and crontab.")
        wanted = PeriodicTask(name, given["task"], True, None, None, [], {}, None, None, None, "")
    else:
        wanted = before
    wanted = replace(wanted, **given)
    if schedule is not None:
        wanted = replace(wanted, crontab=format_crontab(schedule), timezone=schedule["timezone"])
        if before is not None and (wanted.crontab, wanted.timezone) == (before.crontab, before.timezone):
            schedule = None
    if wanted != before and not check:
        # What is not given stays as it is to the letter, even where another spelling would mean the same.
        values = {column: _as_column(getattr(wanted, column)) for column in (COLUMNS if before is None else given)}
        beat.save(name, values, schedule)
        return before, beat.find(name)
    return before, wanted


def _as_column(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _schedule(
    beat: Beat, before: PeriodicTask | None, crontab: str | None, timezone: str | None
) -> dict[str, str] | None:
    """Return the schedule that is wanted; ``None`` to leave it as it is."""
    if timezone is not None:
        check_timezone(timezone)
    line = before.crontab if crontab is None and before and timezone else crontab
    if line is None:
        if timezone is not None:
            raise UsageError("timezone belongs to a crontab; give crontab too.")
        return None
    if len(line.split()) in (1, 2):  # @daily, 24h, every 1d
        raise UsageError(f"crontab {line!r} is no line of five fields. {NO_INTERVALS}")
    zone = timezone or (before.timezone if before else None) or beat.usual_timezone()
    return {**parse_crontab(line), "timezone": zone}


def _validate(name: str, given: Mapping[str, Any]) -> None:
    if not name.strip() or len(name) > 200:
        raise UsageError("name must have from 1 to 200 characters.")
    if not str(given.get("task", name)).strip():
        raise UsageError("task must not be empty.")
    for option in ("task", "queue"):
        if len(str(given.get(option, ""))) > 200:
            raise UsageError(f"{option} must have at most 200 characters.")
    if not 0 <= given.get("priority", 0) <= 255:
        raise UsageError("priority must lie between 0 and 255.")
    if not 1 <= given.get("expire_seconds", 1) <= _LONGEST_EXPIRY:
        raise UsageError(f"expire_seconds must lie between 1 and {_LONGEST_EXPIRY}.")
