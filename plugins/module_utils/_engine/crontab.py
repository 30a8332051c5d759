# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Crontab lines as django-celery-beat keeps them: five fields and a time zone."""

from __future__ import annotations

import re
import zoneinfo
from datetime import datetime, timedelta, tzinfo
from datetime import timezone as datetime_timezone
from typing import NamedTuple

from .errors import UsageError


class _Field(NamedTuple):
    column: str
    lowest: int
    highest: int
    longest: int  # characters that the column takes
    names: tuple[str, ...] = ()


# In the order of a crontab line. Celery counts the days of the week from 0 to 6 and knows no 7.
# Source: celery/schedules.py (crontab, crontab_parser).
_FIELDS = (
    _Field("minute", 0, 59, 240),
    _Field("hour", 0, 23, 96),
    _Field("day_of_month", 1, 31, 124),
    _Field(
        "month_of_year", 1, 12, 64,
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ),
    _Field("day_of_week", 0, 6, 64, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)  # fmt: skip
_EACH = re.compile(r"H/(?P<step>[1-9]|[1-5]\d)", re.ASCII)
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?", re.ASCII)


def parse_crontab(line: str) -> dict[str, str]:
    """Return the columns of a crontab schedule for *line*, such as ``0 3 * * *``.

    :raises UsageError: naming the field that is wrong
    """
    fields = line.split()
    if len(fields) != len(_FIELDS):
        names = ", ".join(_words(field) for field in _FIELDS)
        raise UsageError(f"crontab {line!r} has {len(fields)} fields; it needs five: {names}.")
    for field, text in zip(_FIELDS, fields):
        if len(text) > field.longest:
            raise UsageError(f"crontab {line!r}: the {_words(field)} takes at most {field.longest} characters.")
        for part in text.split(","):
            _check_part(field, part, line)
    return {field.column: text for field, text in zip(_FIELDS, fields)}


def format_crontab(columns: dict[str, str]) -> str:
    """Return the line that :func:`parse_crontab` reads back."""
    # Beat itself writes lists with blanks, as in "1, 15".
    return " ".join(columns[field.column].replace(" ", "") for field in _FIELDS)


def cron_line(line: str, minute: int) -> str:
    """Return *line* as every cron daemon takes it.

    Names become numbers, and a range that passes the end of the week or year becomes a list.

    :param minute: what an ``H`` in the minute's place stands for; ``H/30`` is every 30 minutes, one of them at this one
    :raises UsageError: naming the field that is wrong
    """
    fields = line.split()
    if fields[:1] == ["H"]:
        fields[0] = str(minute)
    elif fields and (each := _EACH.fullmatch(fields[0])):
        step = int(each["step"])
        fields[0] = ",".join(str(one) for one in range(minute % step, _FIELDS[0].highest + 1, step))
    columns = parse_crontab(" ".join(fields))
    return " ".join(_plain(field, columns[field.column]) for field in _FIELDS)


def _plain(field: _Field, text: str) -> str:
    ranges = re.findall(r"(\d+)-(\d+)", text)
    if re.search(r"[a-z]", text, re.IGNORECASE) or any(int(first) > int(last) for first, last in ranges):
        return ",".join(str(value) for value in sorted(_values(field, text)))
    return text


def check_timezone(name: str) -> str:
    """Return *name* if it is a time zone.

    :raises UsageError: when it is none; where this host has no time zone data, every name passes
    """
    known = zoneinfo.available_timezones()
    if known and name not in known:
        raise UsageError(f"timezone {name!r} is not a time zone; write it as Europe/Berlin or UTC.")
    return name


def find_timezone(name: str) -> tzinfo | None:
    """Return the time zone called *name*; ``None`` where this host does not know it, or has no time zone data."""
    if name == "UTC":
        return datetime_timezone.utc
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _check_part(field: _Field, part: str, line: str) -> None:
    match = _PART.fullmatch(part)
    wrong = match is None
    if match is not None:
        first, last, step = match["first"], match["last"], match["step"]
        bounds = [_number(field, bound) for bound in (first, last) if bound not in (None, "*")]
        wrong = (
            any(bound is None for bound in bounds)
            or (first == "*" and last is not None)
            or (step is not None and (int(step) < 1 or (first != "*" and last is None)))
        )
    if wrong:
        raise UsageError(
            f"crontab {line!r}: {part!r} is no {_words(field)}. "
            f"Write {field.lowest} to {field.highest}, a range, a list, * or */n."
        )


def _words(field: _Field) -> str:
    return field.column.replace("_", " ")


def _number(field: _Field, text: str) -> int | None:
    if text.lower()[:3] in field.names:
        return field.names.index(text.lower()[:3]) + field.lowest
    if text.isdigit() and field.lowest <= int(text) <= field.highest:
        return int(text)
    return None


def previous_due(line: str, timezone: str, before: datetime) -> datetime | None:
    """Return when *line* was last due, in UTC, at or before *before* (aware).

    ``None`` if not within a year, or where this host does not know the time zone.
    """
    zone = find_timezone(timezone)
    if zone is None:
        return None
    columns = parse_crontab(line)
    values = {field.column: _values(field, columns[field.column]) for field in _FIELDS}
    local = before.astimezone(zone)
    times = sorted(((hour, minute) for hour in values["hour"] for minute in values["minute"]), reverse=True)
    for days in range(366):
        day = (local - timedelta(days=days)).date()
        # Celery wants both the day of the month and the day of the week, unlike cron.
        if (
            day.day not in values["day_of_month"]
            or day.month not in values["month_of_year"]
            or day.isoweekday() % 7 not in values["day_of_week"]
        ):
            continue
        for hour, minute in times:
            due = datetime(day.year, day.month, day.day, hour, minute, tzinfo=local.tzinfo)
            if due <= local:
                return due.astimezone(datetime_timezone.utc)
    return None


def _values(field: _Field, text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            continue
        first, last = match["first"], match["last"]
        low = field.lowest if first == "*" else _number(field, first) or 0
        high = field.highest if first == "*" else _number(field, last or first) or 0
        span = range(low, high + 1) if low <= high else [*range(low, field.highest + 1), *range(field.lowest, high + 1)]
        found.update(list(span)[:: int(match["step"] or 1)])
    return found
