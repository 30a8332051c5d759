# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Crontab lines as django-celery-beat keeps them: five fields and a time zone."""

from __future__ import annotations

import re
import zoneinfo
from typing import NamedTuple

from .errors import UsageError


class _Field(NamedTuple):
    column: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()


# In the order of a crontab line. Celery counts the days of the week from 0 to 6 and knows no 7.
# Source: celery/schedules.py (crontab, crontab_parser).
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day_of_month", 1, 31),
    _Field(
        "month_of_year", 1, 12,
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ),
    _Field("day_of_week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)  # fmt: skip
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")


def parse_crontab(line: str) -> dict[str, str]:
    """Return the columns of a crontab schedule for *line*, such as ``0 3 * * *``.

    :raises UsageError: naming the field that is wrong
    """
    fields = line.split()
    if len(fields) != len(_FIELDS):
        names = ", ".join(field.column.replace("_", " ") for field in _FIELDS)
        raise UsageError(f"crontab {line!r} has {len(fields)} fields; it needs five: {names}.")
    for field, text in zip(_FIELDS, fields):
        for part in text.split(","):
            _check_part(field, part, line)
    return {field.column: text for field, text in zip(_FIELDS, fields)}


def format_crontab(columns: dict[str, str]) -> str:
    """Return the line that :func:`parse_crontab` reads back."""
    # Beat itself writes lists with blanks, as in "1, 15".
    return " ".join(columns[field.column].replace(" ", "") for field in _FIELDS)


def check_timezone(name: str) -> str:
    """Return *name* if it is a time zone.

    :raises UsageError: when it is none; where this host has no time zone data, every name passes
    """
    known = zoneinfo.available_timezones()
    if known and name not in known:
        raise UsageError(f"timezone {name!r} is not a time zone; write it as Europe/Berlin or UTC.")
    return name


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
            f"crontab {line!r}: {part!r} is no {field.column.replace('_', ' ')}. "
            f"Write {field.lowest} to {field.highest}, a range, a list, * or */n."
        )


def _number(field: _Field, text: str) -> int | None:
    if text.lower()[:3] in field.names:
        return field.names.index(text.lower()[:3]) + field.lowest
    if text.isdigit() and field.lowest <= int(text) <= field.highest:
        return int(text)
    return None
