# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making, changing and removing one periodic task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Optional

from .beat import Beat, PeriodicTask
from .crontab import check_timezone, format_crontab, parse_crontab
from .errors import UsageError

#: What of a periodic task may be given, beside its schedule.
COLUMNS = ("task", "args", "kwargs", "queue", "priority", "expire_seconds", "enabled", "description")

Change = tuple[Optional[PeriodicTask], Optional[PeriodicTask]]


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
    schedule = _schedule(beat, before, crontab, timezone)
    if before is None:
        if "task" not in given or schedule is None:
            raise UsageError(f"There is no periodic task {name}; to make it, give task and crontab.")
        wanted = PeriodicTask(name, given["task"], True, None, None, [], {}, None, None, None, "")
    else:
        wanted = before
    wanted = replace(wanted, **given)
    if "queue" in given:
        wanted = replace(wanted, queue=given["queue"] or None)
    if schedule is not None:
        wanted = replace(wanted, crontab=format_crontab(schedule), timezone=schedule["timezone"])
    if wanted != before and not check:
        values = {column: getattr(wanted, column) for column in COLUMNS}
        values.update(args=json.dumps(wanted.args), kwargs=json.dumps(wanted.kwargs))
        beat.save(name, values, schedule)
        return before, beat.find(name)
    return before, wanted


def _schedule(
    beat: Beat, before: PeriodicTask | None, crontab: str | None, timezone: str | None
) -> dict[str, str] | None:
    """Return the schedule that is wanted; ``None`` to leave it as it is."""
    if timezone is not None:
        check_timezone(timezone)
    line = crontab or (before.crontab if before and timezone else None)
    if line is None:
        if timezone is not None:
            raise UsageError("timezone belongs to a crontab; give crontab too.")
        return None
    zone = timezone or (before.timezone if before else None) or beat.usual_timezone()
    return {**parse_crontab(line), "timezone": zone}


def _validate(name: str, given: Mapping[str, Any]) -> None:
    if not name.strip() or len(name) > 200:
        raise UsageError("name must have from 1 to 200 characters.")
    if given.get("task") is not None and not str(given["task"]).strip():
        raise UsageError("task must not be empty.")
    if not 0 <= given.get("priority", 0) <= 255:
        raise UsageError("priority must lie between 0 and 255.")
    if given.get("expire_seconds", 1) < 1:
        raise UsageError("expire_seconds must be at least 1.")
