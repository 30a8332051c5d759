# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations as text: ``90s``, ``15m``, ``24h``, ``7d``, ``4w``."""

from __future__ import annotations

import re
from datetime import timedelta

from .errors import UsageError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FORM = re.compile(r"([0-9]{1,1000})([smhdw])")
_LONGEST = timedelta(weeks=5200)  # a century: a cut-off before that may leave the calendar


def parse_duration(text: object, what: str) -> timedelta:
    """Return the duration that *text* names.

    :param what: the option's name, for the message
    :raises UsageError: for anything but a whole number and one of the letters s, m, h, d, w
    """
    match = _FORM.fullmatch(str(text).strip())
    if match is None:
        raise UsageError(
            f"{what}: {text!r} is not a duration. Write a whole number and a unit, for example 90s, 15m, 24h, 7d or 4w."
        )
    count, unit = int(match.group(1)), _UNITS[match.group(2)]
    if count > _LONGEST.total_seconds() or timedelta(**{unit: count}) > _LONGEST:
        raise UsageError(f"{what}: {text!r} is longer than a hundred years.")
    return timedelta(**{unit: count})


def format_duration(duration: timedelta) -> str:
    """Return the shortest text that :func:`parse_duration` reads back, for example ``7d``.

    Weeks stay days and a day stays 24 hours where that is how people say it: ``7d``, ``24h``.
    """
    seconds = int(duration.total_seconds())
    for letter, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0 and not (letter == "d" and seconds == 86400):
            return f"{seconds // size}{letter}"
    return f"{seconds}s"
