# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gates: what a run waits for before its next batch, so that it never adds to somebody's trouble."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING, Any, NamedTuple

from .database import Database
from .durations import parse_duration
from .errors import DatabaseError, UsageError
from .gate_queries import ReplicaLag, lock_waiters, under_maintenance
from .pace import GATES

if TYPE_CHECKING:
    from .progress import Progress

_INTERVAL = 1.0  # seconds between two looks
_PATIENCE = timedelta(minutes=10)
_DAY = 24 * 3600
_HOURS = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*-\s*(\d{1,2})(?::(\d{2}))?")


@dataclass(frozen=True)
class Hours:
    """A part of the day, by the clock of the host where this runs; it may pass midnight."""

    first: time_of_day
    last: time_of_day

    def open_at(self, now: time_of_day) -> bool:
        if self.first < self.last:
            return self.first <= now < self.last
        return now >= self.first or now < self.last

    def seconds_until_open(self, now: time_of_day) -> float:
        return (_seconds(self.first) - _seconds(now)) % _DAY

    def __str__(self) -> str:
        return f"{self.first:%H:%M}-{self.last:%H:%M}"


def _seconds(time: time_of_day) -> float:
    """Since midnight."""
    return time.hour * 3600 + time.minute * 60 + time.second + time.microsecond / 1e6


@dataclass(frozen=True)
class Gates:
    """Which gates there are, and how long one may stay closed before the run ends."""

    max_replica_lag: timedelta | None = None
    vacuum: bool = False
    lock_waiters: bool = False
    condition: str | None = None
    hours: Hours | None = None
    patience: timedelta = _PATIENCE


def parse_gates(document: Mapping[str, Any]) -> Gates:
    """Read gates from a dictionary; keys that are missing or ``None`` make no gate.

    :raises UsageError: naming the key that is wrong
    """
    lag, hours, patience = (document.get(key) for key in ("max_replica_lag", "hours", "patience"))
    return Gates(
        max_replica_lag=parse_duration(lag, "gates.max_replica_lag") if lag is not None else None,
        vacuum=bool(document.get("vacuum")),
        lock_waiters=bool(document.get("lock_waiters")),
        condition=document.get("condition"),
        hours=_parse_hours(hours) if hours is not None else None,
        patience=parse_duration(patience, "gates.patience") if patience is not None else _PATIENCE,
    )


def _parse_hours(text: str) -> Hours:
    match = _HOURS.fullmatch(str(text).strip())
    try:
        if match is None:
            raise ValueError
        numbers = [int(part or 0) for part in match.groups()]
        # 24 is how people write the end of the day.
        first, last = (time_of_day(hour % 24 if hour == 24 else hour, minute) for hour, minute in _pairs(numbers))
    except ValueError:
        raise UsageError(f"gates.hours: {text!r} is no part of a day. Write it as 22:00-06:00 or 22-6.") from None
    if first == last:
        raise UsageError(f"gates.hours: {text!r} never opens, for it begins when it ends.")
    return Hours(first, last)


def _pairs(numbers: list[int]) -> list[tuple[int, int]]:
    return [(numbers[0], numbers[1]), (numbers[2], numbers[3])]


class Closed(NamedTuple):
    """A gate that is closed, and why; ``seconds`` is how long it will be so at least, as far as that is known."""

    gate: str
    reason: str
    seconds: float = 0.0


class Gatekeeper:
    """Looks at the gates of one run, which works on one table after the other.

    :raises UsageError: when a gate cannot work here, before anything is changed
    """

    def __init__(self, database: Database, table: Any, gates: Gates) -> None:
        self._database = database
        self._table = table
        self._gates = gates
        self._replicas = ReplicaLag(database)
        self._looked = float("-inf")
        looks: tuple[tuple[bool, Callable[[], str | None]], ...] = (
            (gates.hours is not None, self._outside_hours),
            (gates.max_replica_lag is not None, self._lagging),
            (gates.vacuum, lambda: under_maintenance(database, self._table)),
            (gates.lock_waiters, lambda: lock_waiters(database, self._table)),
            (gates.condition is not None, self._condition_unmet),
        )
        self._looks = {name: look for name, (wanted, look) in zip(GATES, looks) if wanted}
        for look in self._looks.values():
            look()  # what cannot work is found now, not amid the run

    def turn_to(self, table: Any) -> None:
        """Look at *table* from now on."""
        if table is not self._table:
            self._table, self._looked = table, float("-inf")

    def wait(self, progress: Progress, limit_met: Callable[[], bool]) -> None:
        """Wait until every gate is open. One that stays closed ends the run, as does a limit that is met meanwhile."""
        began = time.monotonic()
        while not limit_met():
            closed = self.closed()
            if closed is None:
                break
            waited = time.monotonic() - began
            if waited + closed.seconds >= self._gates.patience.total_seconds():
                progress.stop("gate", f"{closed.reason}, for {waited:.0f} s by now" if waited >= 1 else closed.reason)
                break
            progress.held_by = closed.gate
            progress.tell()
            time.sleep(_INTERVAL)
            progress.pauses[closed.gate] = progress.pauses.get(closed.gate, 0.0) + time.monotonic() - began - waited
        progress.held_by = None

    def closed(self) -> Closed | None:
        """Return which gate is closed, and why; ``None`` where all are open or were a moment ago."""
        if not self._looks or time.monotonic() - self._looked < _INTERVAL:
            return None
        for name, look in self._looks.items():
            reason = look()
            if reason is not None:
                return Closed(name, reason, self._least_seconds(name))
        self._looked = time.monotonic()
        return None

    def _outside_hours(self) -> str | None:
        hours, now = self._gates.hours, datetime.now().time()
        return None if hours is None or hours.open_at(now) else f"it is {now:%H:%M}, outside of {hours}"

    def _least_seconds(self, gate: str) -> float:
        hours = self._gates.hours
        return hours.seconds_until_open(datetime.now().time()) if gate == "hours" and hours else 0.0

    def _lagging(self) -> str | None:
        allowed = self._gates.max_replica_lag
        lag = self._replicas.measure()
        if allowed is None or lag <= allowed:
            return None
        if lag == timedelta.max:
            return "a replica has yet to replay what was written before this run"
        return f"a replica is {lag.total_seconds():.0f} s behind, more than {allowed.total_seconds():.0f} s"

    def _condition_unmet(self) -> str | None:
        try:
            rows = self._database.ask(str(self._gates.condition))
        except DatabaseError as error:
            raise UsageError(f"gates.condition cannot be asked: {error}") from None
        value = rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else rows
        if not isinstance(value, (bool, int, float)) and not hasattr(value, "as_integer_ratio"):
            raise UsageError(
                f"gates.condition must return one number or truth value, but it returned "
                f"{_described(value)}. Write it as SELECT count(*) < 100 FROM …"
            )
        return None if value else "the condition of the user's own is not met"


def _described(value: Any) -> str:
    if value is None:
        return "NULL"
    return f"{len(value)} rows or columns" if isinstance(value, list) else f"a {type(value).__name__}"
