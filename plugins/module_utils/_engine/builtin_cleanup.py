# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``celery.backend_cleanup``, the periodic task that beat installs by itself.

At every start, beat makes the row anew where ``result_expires`` is set in the application, whatever
its result backend. It writes the row's task, schedule and options, but never ``enabled``: so a row
that was deleted comes back, and a row that was disabled stays disabled. An entry of the application's
``beat_schedule`` with that name is written likewise, with all that it says.

The version does not matter: in ``django_celery_beat/schedulers.py``, ``setup_schedule``,
``install_default_entries``, ``update_from_dict`` and ``ModelEntry.from_entry`` are the same, letter by
letter, in 2.6.0, 2.7.0, 2.8.0, 2.8.1 and 2.9.0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .beat import Beat, PeriodicTask
from .crontab import parse_crontab
from .durations import parse_duration
from .errors import UsageError

NAME = "celery.backend_cleanup"
STATES = ("disabled", "absent", "present")
_CRONTAB = "0 4 * * *"
_EXPIRE_SECONDS = 12 * 3600


@dataclass(frozen=True)
class Recreation:
    """Whether beat makes the row again; ``verdict``: ``stays_disabled``, ``stays_absent``,
    ``will_come_back``, ``stays_enabled`` or ``unknown``."""

    verdict: str
    why: str


@dataclass(frozen=True)
class RetireResult:
    """The built-in task before and after, and how many periodic tasks there are."""

    before: PeriodicTask | None
    after: PeriodicTask | None
    recreation: Recreation
    periodic_tasks: int

    @property
    def changed(self) -> bool:
        return self.before != self.after


def parse_result_expires(text: str | None) -> bool | None:
    """Return whether the application's ``result_expires`` is set; ``None`` where it is not known.

    :param text: seconds, a duration such as ``24h``, or ``none``
    """
    if text is None:
        return None
    if text.strip().lower() in ("none", "null", "0", "0.0", "false"):
        return False
    try:
        return bool(float(text))  # as Celery sees it, to which a negative number is set too
    except ValueError:
        return bool(parse_duration(text, "result_expires"))


def set_builtin_cleanup(
    beat: Beat, state: str, expires: bool | None, *, scheduled: bool = False, timezone: str, check: bool
) -> RetireResult:
    """Bring the built-in task into *state*.

    :param expires: whether the application sets ``result_expires``
    :param scheduled: whether the application's own ``beat_schedule`` has an entry of that name
    :param timezone: of the schedule of a row that is made
    """
    if state not in STATES:
        raise UsageError(f"state {state!r} is unknown; use {', '.join(STATES)}.")
    before = beat.find(NAME)
    after = _wanted(before, state, scheduled or expires, timezone)
    total = beat.count()
    if after != before:
        total += (after is not None) - (before is not None)
        if not check:
            _change(beat, before, after)
            after, total = beat.find(NAME), beat.count()
    return RetireResult(before, after, _recreation(after, expires, scheduled), total)


def _wanted(before: PeriodicTask | None, state: str, made: bool | None, timezone: str) -> PeriodicTask | None:
    if state == "absent":
        return None
    enabled = state == "present"
    if before is not None:
        return replace(before, enabled=enabled)
    if not enabled and not made:
        return None  # nobody is known to make it
    return PeriodicTask(NAME, NAME, enabled, _CRONTAB, timezone, [], {}, None, None, _EXPIRE_SECONDS, "")


def _change(beat: Beat, before: PeriodicTask | None, after: PeriodicTask | None) -> None:
    if after is None:
        beat.delete(NAME)
    elif before is not None:
        beat.save(NAME, {"enabled": after.enabled}, None)
    else:
        values = {"task": NAME, "enabled": after.enabled, "expire_seconds": _EXPIRE_SECONDS}
        beat.save(NAME, values, {**parse_crontab(_CRONTAB), "timezone": after.timezone or "UTC"})


def _recreation(after: PeriodicTask | None, expires: bool | None, scheduled: bool) -> Recreation:
    if after is not None and after.enabled:
        return Recreation("stays_enabled", "The row is there and enabled; beat keeps it so.")
    if after is not None:
        return Recreation("stays_disabled", "Beat never writes enabled, so the row stays disabled at every start.")
    if scheduled:
        return Recreation(
            "will_come_back",
            "The application's beat_schedule has an entry of that name, so the next start of beat makes the row "
            "again, enabled. Use state disabled, or take the entry out.",
        )
    if expires is None:
        return Recreation(
            "unknown",
            "The row is absent. Whether the next start of beat makes it again depends on the application's "
            "result_expires, which is not known here: with None or 0 it stays away.",
        )
    if expires:
        return Recreation(
            "will_come_back",
            "The application sets result_expires, so the next start of beat makes the row again, enabled. "
            "Use state disabled, or set result_expires to None in the application.",
        )
    return Recreation("stays_absent", "The application sets no result_expires, so beat does not make the row.")
