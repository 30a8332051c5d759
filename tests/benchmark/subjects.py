# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured, and against what: each of these returns lines of the report."""

from __future__ import annotations

from collections.abc import Iterator

import contest
import tasks
import ways
import writers
from programs import Measured
from report import Line, Target, mebibytes, seconds
from server import DurablePostgreSQL
from support.servers import Database

#: The targets hold for half of so many rows.
ACCEPTANCE = 1_000_000

_AS_FAST = Target(at_most=1.2)
_UNDISTURBED = Target(at_most=1.15)
_TEN_TIMES = Target(at_least=10)
_HALF_AS_LONG = Target(at_most=0.5)
_THREE_TIMES = Target(at_most=3)
_SHORT = Target(at_most=1)
_NO_GROWTH = Target(at_most=1.15)
_TWICE = Target(at_most=2)
_LONGEST_TRANSACTION = 0.5  # seconds


def speed(server: DurablePostgreSQL, template: Database, rows: int, rounds: int) -> Iterator[Line]:
    """The purge against one raw DELETE and a plain `delete_expired`, at rest and beside a snapshot."""
    contestants = {"purge": ways.purge, "raw DELETE": ways.raw_delete, "delete_expired": ways.delete_expired}
    purges: list[Measured] = []
    for pinned in (False, True):
        measured = contest.measure(server, template, contestants, rounds, pinned)
        ours = measured.pop("purge")
        purges.append(ours)
        what = f"purge, {_half(rows)}{', snapshot held' if pinned else ''}"
        for name, other in measured.items():
            target = _AS_FAST if rows == ACCEPTANCE and not pinned else None
            yield _times(what, ours, name, other, target)
        limit = Measured(_LONGEST_TRANSACTION, 0, _LONGEST_TRANSACTION)
        yield _ratio(f"its longest transaction, {_half(rows)}", ours.longest, "the limit", limit.longest, _SHORT)
    at_rest, beside = purges
    target = _UNDISTURBED if rows == ACCEPTANCE else None
    yield _times(f"purge, {_half(rows)}, snapshot held", beside, "itself at rest", at_rest, target)


def listeners(server: DurablePostgreSQL, template: Database, rows: int, rounds: int) -> Iterator[Line]:
    """A `delete_expired` whose application listens to deletions against the purge."""
    contestants = {"purge": ways.purge, "heard": ways.delete_expired_heard}
    for pinned in (False, True):
        measured = contest.measure(server, template, contestants, rounds, pinned)
        what = f"delete_expired with a receiver, {_half(rows)}{', snapshot held' if pinned else ''}"
        yield _times(what, measured["heard"], "purge", measured["purge"], _TEN_TIMES)


def reclaiming(server: DurablePostgreSQL, template: Database, rows: int, rounds: int) -> Iterator[Line]:
    """A purge of nine rows in ten that returns the space, against what people do for it."""
    contestants = {
        "purge": ways.rewrite,
        "DELETE and VACUUM": ways.delete_and_vacuum,
        "DELETE and VACUUM FULL": ways.delete_and_vacuum_full,
    }
    measured = contest.measure(server, template, contestants, rounds, pinned=False)
    ours = measured.pop("purge")
    for name, other in measured.items():
        target = _HALF_AS_LONG if name.endswith("FULL") else None
        yield _times(f"purge with the table rewritten, 90 % of {rows:,} rows", ours, name, other, target)


def writing(server: DurablePostgreSQL, template: Database, rows: int, rounds: int) -> Iterator[Line]:
    """The wait of a worker that stores results beside a purge, against its wait at rest."""
    at_rest: list[float] = []
    beside: list[float] = []
    # A purge is over after some hundred writes: the worst of one alone are a matter of luck.
    for _round in range(rounds):
        with server.copy(template) as database:
            before, during = writers.waits(database, ways.purge)
        at_rest += before
        beside += during
    what = f"p99 of a worker's writes beside a purge, {_half(rows)}"
    ours, other = writers.p99(beside), writers.p99(at_rest)
    yield Line(what, _milliseconds(ours), "at rest", _milliseconds(other), ours / other, _THREE_TIMES)


def memory(server: DurablePostgreSQL, small: Database, large: Database, rows: tuple[int, int]) -> Iterator[Line]:
    """The memory of a process that purges many rows against that of one that purges a tenth."""
    peaks = []
    for template in (small, large):
        with server.copy(template) as database:
            peaks.append(ways.purge(database).peak_bytes)
    few, many = peaks
    yield Line(
        f"peak memory of the purge, {_half(rows[1])}",
        mebibytes(many),
        _half(rows[0]),
        mebibytes(few),
        many / few,
        _NO_GROWTH,
    )


def modules(server: DurablePostgreSQL, template: Database, times: int) -> Iterator[Line]:
    """A task of a module on a small table against a ping, with each interpreter that a host may have."""
    with server.copy(template) as database:
        for interpreter in tasks.interpreters():
            for pipelining in (False, True):
                measured = tasks.measure(database, times, pipelining, interpreter)
                how = f"{', pipelining' if pipelining else ''} ({interpreter.libraries})"
                for action in (tasks.INFO, tasks.PURGE):
                    what = f"{action.rpartition('.')[2]}, small table{how}"
                    yield _ratio(what, measured[action], "ping", measured[tasks.PING], _TWICE)


def _times(what: str, ours: Measured, against: str, other: Measured, target: Target | None) -> Line:
    return _ratio(what, ours.seconds, against, other.seconds, target)


def _ratio(what: str, ours: float, against: str, other: float, target: Target | None) -> Line:
    return Line(what, seconds(ours), against, seconds(other), ours / other, target)


def _milliseconds(value: float) -> str:
    return f"{1000 * value:.1f} ms"


def _half(rows: int) -> str:
    return f"half of {rows:,} rows"
