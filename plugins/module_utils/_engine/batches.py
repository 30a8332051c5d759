# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frontier walk: changing many rows in short transactions.

A walk goes along a column that has an index. It asks the index for the n-th value from the
frontier, changes the rows up to there in one statement, commits, and goes on from that value. It
never goes back to the head, where entries of deleted rows pile up for as long as any session holds
an old snapshot.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .axes import Axis, comparable
from .database import Database
from .errors import LockTimeoutError, StatementTimeoutError
from .libraries import sa
from .limits import Limits
from .locked_rows import can_skip_locked
from .progress import Progress

if TYPE_CHECKING:
    from .deletion import Deletion
    from .gates import Gatekeeper

TARGET_SECONDS = 0.25
_FIRST_SIZE = 10_000
_SMALLEST_SIZE = 50
_LARGEST_SIZE = 250_000
_GROWTH = 5.0
_SHUT_OUT = 3  # batches in a row that reach no row: then others hold the table, and so they would the rest

#: Changes the rows that meet a condition; returns how many. The flag asks it to go around rows
#: that other sessions hold.
Change = Callable[[Any, Any, bool], int]


@dataclass(frozen=True)
class _Batch:
    """Rows that are changed in one transaction."""

    began: float  #: when the first was done for it
    size: int  #: how many rows it looks at
    low: Any
    high: Any  #: where the next begins; ``None`` of the last
    condition: Any

    @property
    def is_tie(self) -> bool:
        """Whether more rows have the same value than a batch looks at."""
        return self.high is not None and bool(self.high == self.low)


class Walker:
    """Walks along axes of one table, each batch in its own transaction.

    The number of rows that a batch looks at adapts so that a batch takes a quarter of a second.

    :param committed: called after each batch, once it is committed
    :param gatekeeper: says what to wait for before each batch
    :param deletion: brings the transactions of its own, where it makes the changes
    :param foresees: whether *deletion* may be told which rows the next batches begin with
    """

    def __init__(
        self,
        database: Database,
        limits: Limits,
        progress: Progress,
        committed: Callable[[], None] = lambda: None,
        gatekeeper: Gatekeeper | None = None,
        deletion: Deletion | None = None,
        *,
        foresees: bool = False,
    ) -> None:
        self._database = database
        self._deletion = deletion
        # Not where a batch may have to wait for long, nor where its size depends on what the one before it changes.
        self._foresees = foresees and not (gatekeeper or limits.pause or limits.max_rows)
        self._limits = limits
        self.progress = progress
        self._committed = committed
        self._gatekeeper = gatekeeper
        self._size = float(min(limits.batch_size or _FIRST_SIZE, _FIRST_SIZE))
        self._passed_over: list[tuple[Any, Change]] = []
        self._shut_out = 0  #: batches in a row that reached no row
        self.locked_out = False  #: rows were left because other sessions held them

    def walk(self, axis: Axis, condition: Any, change: Change) -> None:
        """Change the rows on *axis* that meet *condition*, until none is left or a limit is met."""
        if self._gatekeeper:
            self._gatekeeper.turn_to(axis.column.table)
        column = comparable(self._database, axis.column)
        wanted = sa.and_(axis.condition, condition)
        low: Any = None
        following: _Batch | None = None
        while not self._must_stop():
            foreseen = following is not None
            batch = following or self._batch_from(low, axis, column, wanted)
            if batch.is_tie:
                low = self._walk_ties(axis, column, low, condition, change)
                if low is None:
                    return
                continue
            following = self._look_ahead(batch, foreseen, axis, column, wanted)
            try:
                self._do(batch.condition, change)
            except StatementTimeoutError:
                if batch.size <= _SMALLEST_SIZE:
                    raise
                self._halve()
                following = None
                continue  # the same again, with fewer rows
            if batch.high is None:
                return
            low = batch.high
            self._adapt(batch.size, time.monotonic() - batch.began)
            self._pause()

    def _batch_from(self, low: Any, axis: Axis, column: Any, wanted: Any) -> _Batch:
        # Loaded only where it is needed: many runs find nothing to do.
        from .clustered import key_range

        began = time.monotonic()
        size = self._rows_to_look_at()
        bounds = [] if low is None else [column >= low]
        ahead = sa.select(column).where(axis.bound, *bounds).order_by(column)
        high = self._database.value(ahead.offset(size).limit(1))
        batch = _Batch(began, size, low, high, wanted)
        if batch.is_tie:
            return batch
        if high is not None:
            bounds.append(column < high)
        return replace(batch, condition=sa.and_(wanted, *bounds, key_range(self._database, axis, bounds)))

    def _look_ahead(self, batch: _Batch, foreseen: bool, axis: Axis, column: Any, wanted: Any) -> _Batch | None:
        """Find the batch that follows, where it is of use to know it before *batch* is done."""
        deletion = self._deletion
        if not (self._foresees and deletion and deletion.reads_ahead) or batch.high is None:
            return None
        if not foreseen:
            deletion.foresee(axis.column.table, batch.condition)
        following = self._batch_from(batch.high, axis, column, wanted)
        if following.is_tie:
            return None
        deletion.foresee(axis.column.table, following.condition)
        return following

    def sweep(self) -> None:
        """Try again what was locked; what still is sets ``locked_out``."""
        again, self._passed_over = self._passed_over, []
        for condition, change in again:
            if self._must_stop():
                break
            self._do(condition, change)
            self._pause()
        self.locked_out = self.locked_out or bool(self._passed_over)
        self._passed_over = []

    def _walk_ties(self, axis: Axis, column: Any, low: Any, condition: Any, change: Change) -> Any:
        equal = column == low
        if axis.ties:
            self.walk(
                Axis(axis.ties[0], equal, axis.extra, axis.ties[1:]),
                sa.and_(axis.bound, condition),
                change,
            )
        else:
            self._do(sa.and_(axis.condition, condition, equal), change)
            self._pause()
        return self._database.value(sa.select(column).where(axis.bound, column > low).order_by(column).limit(1))

    def _do(self, condition: Any, change: Change) -> None:
        try:
            self._transact(condition, change, around_locks=False)
            self._shut_out = 0
        except LockTimeoutError:
            self._halve()  # a smaller one meets fewer of them
            self._passed_over.append((condition, change))
            if can_skip_locked(self._database):
                self._go_around_locks(condition, change)
            elif self._database.kind == "sqlite":
                self._count_shut_out()  # there, whoever writes holds all tables

    def _go_around_locks(self, condition: Any, change: Change) -> None:
        try:
            self._transact(condition, change, around_locks=True)
            self._shut_out = 0
        except LockTimeoutError:
            # Rows of another table are held, such as children: the sweep tries once more. Or it is the whole table.
            self._count_shut_out()

    def _count_shut_out(self) -> None:
        self._shut_out += 1
        if self._shut_out == _SHUT_OUT:
            self.locked_out = True
            self.progress.stop("gate", f"other sessions hold the table: {_SHUT_OUT} batches in a row reached no row")

    def _transact(self, condition: Any, change: Change, around_locks: bool) -> None:
        attempts: list[int] = []
        self._database.persistently(
            lambda connection: attempts.append(change(connection, condition, around_locks)),
            self._deletion.transaction if self._deletion else None,
        )
        # Where the connection broke in a commit that had gone through, the next attempt finds nothing left.
        changed = attempts[-1] or max(attempts)
        self._committed()
        self.progress.changed += changed
        self.progress.batches += 1
        self.progress.writes += changed > 0
        self.progress.tell()

    def _pause(self) -> None:
        if self._limits.pause:
            time.sleep(self._limits.pause.total_seconds())

    def may_go_on(self) -> bool:
        """Whether no limit is met, after every gate has opened."""
        return not self._must_stop()

    def _must_stop(self) -> bool:
        if not self._limit_met() and self._gatekeeper:
            self._gatekeeper.wait(self.progress, self._limit_met)
        return self.progress.ended_early

    def _limit_met(self) -> bool:
        limits, progress = self._limits, self.progress
        if progress.ended_early:
            return True
        if limits.stop_file and os.path.exists(limits.stop_file):
            progress.stop("stop_file", f"the file {limits.stop_file} is there")
        elif limits.time_budget is not None and progress.seconds >= limits.time_budget.total_seconds():
            progress.stop("time_budget", f"{progress.seconds:.0f} s have passed")
        elif limits.max_rows is not None and progress.changed >= limits.max_rows:
            progress.stop("max_rows", f"{progress.changed:,} rows are done")
        return progress.ended_early

    def _rows_to_look_at(self) -> int:
        size = int(self._size)
        if self._limits.max_rows is not None:
            size = min(size, self._limits.max_rows - self.progress.changed)
        return max(size, 1)

    def _halve(self) -> None:
        self._size = min(self._size, max(self._size / 2, _SMALLEST_SIZE))

    def _adapt(self, size: int, seconds: float) -> None:
        if size < int(self._size):
            return  # cut short by max_rows: it says nothing about the pace
        factor = min(TARGET_SECONDS / max(seconds, 0.001), _GROWTH)
        largest = self._limits.batch_size or _LARGEST_SIZE
        if size > int(self._size):
            largest = int(self._size)  # it has been made smaller since
        self._size = min(max(size * factor, _SMALLEST_SIZE), largest)
