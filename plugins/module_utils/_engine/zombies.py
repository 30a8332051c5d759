# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ending records whose task is dead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .axes import Axis, older_than
from .batches import Change, Limits, Progress, Walker, free_rows, telling_what_was_done
from .census import Census, census_of, take_census
from .clock import Clock
from .database import Database
from .failures import payloads
from .libraries import sa
from .profiles import Profile
from .records import RecordTable, known_table
from .rules import ZombieRule
from .sessions import session_values
from .statuses import Statuses

if TYPE_CHECKING:
    from .proof import Containers, Examined

_SHOWN_ROWS = 100


@dataclass
class ZombieCount:
    """What one rule matched and ended; ``unwritable`` rows have a result in a foreign encoding."""

    rule: ZombieRule
    table: str
    status: str  #: what the rows become
    matched: int
    ended: int = 0
    unwritable: int = 0


@dataclass(frozen=True)
class ZombieRow:
    """One row as it was found."""

    table: str
    rule: str
    identity: str
    task: str | None
    status: str
    since: str | None  #: ISO 8601, UTC
    age_seconds: int | None
    writable: bool
    verdict: str | None  #: what the containers prove; ``None`` where they were not asked


@dataclass
class ZombieResult:
    """What was ended in one table, or in check mode what would be."""

    table: str
    rules: list[ZombieCount]
    rows: list[ZombieRow]
    before: Census
    after: Census
    check: bool
    examined: Sequence[Examined] = ()  #: the rows that the containers were asked about, ended or not

    @property
    def matched(self) -> int:
        return sum(one.matched for one in self.rules)

    @property
    def ended(self) -> int:
        return sum(one.ended for one in self.rules)

    @property
    def unwritable(self) -> int:
        return sum(one.unwritable for one in self.rules)

    @property
    def changed(self) -> bool:
        return self.matched > self.unwritable if self.check else self.ended > 0


def fail_zombies(
    database: Database,
    record: RecordTable,
    rules: Sequence[ZombieRule],
    *,
    check: bool = False,
    containers: Containers | None = None,
) -> ZombieResult:
    """End the rows that *rules* select. The statement that does it checks each row again.

    A row counts for the first rule that selects it.

    :param containers: where the tasks run: a row whose process is gone is ended at any age, one
        whose process lives at none, and age decides where that cannot be known
    """
    return _Zombies(database, record, rules, containers).run(check)


def fail_zombies_of_dependents(database: Database, profile: Profile, *, check: bool = False) -> list[ZombieResult]:
    """Apply the rules of the profile's other tables, such as the workers'; missing ones are left."""
    return [
        fail_zombies(database, RecordTable(database, dependent), dependent.zombie_rules, check=check)
        for dependent in profile.dependents
        if known_table(database, dependent.table) is not None
    ]


def zombie_conditions(
    database: Database, record: RecordTable, rules: Sequence[ZombieRule]
) -> list[tuple[Any, str, Any]]:
    """Return for each rule which rows it would end, what they become, and how the table spells that."""
    zombies = _Zombies(database, record, rules)
    return [(zombies.endable(target), zombies.end(target.rule), target.spelling) for target in zombies.targets]


def count_overdue(database: Database, record: RecordTable, rules: Sequence[ZombieRule]) -> list[tuple[ZombieRule, int]]:
    """Return how many rows each rule would end."""
    result = _Zombies(database, record, rules).run(check=True, rows=False)
    return [(one.rule, one.matched) for one in result.rules]


@dataclass(frozen=True)
class _Target:
    rule: ZombieRule
    axes: list[Axis]
    status_condition: Any
    since: Any  #: the date that tells a row's age
    spelling: Any

    @property
    def condition(self) -> Any:
        return sa.and_(sa.or_(*(axis.condition for axis in self.axes)), self.status_condition)


class _Zombies:
    def __init__(
        self,
        database: Database,
        record: RecordTable,
        rules: Sequence[ZombieRule],
        containers: Containers | None = None,
    ) -> None:
        self._database = database
        self._record = record
        self._clock = Clock(database, record)
        self._statuses = Statuses(database, record)
        self._verdicts = None
        if containers:
            # Loaded only where it is needed, as in the rehearsal: statistics and most runs ask for no proof.
            from .proof import examine_rows

            names = {status for rule in rules for status in rule.statuses}
            self._verdicts = examine_rows(database, record, self._clock, self._statuses, names, containers)
        self.targets = [self._target(rule) for rule in rules]

    def run(self, check: bool, rows: bool = True) -> ZombieResult:
        conditions = [self.endable(target) for target in self.targets]
        before = take_census(self._database, self._record, self._statuses, conditions)
        counts = []
        for target, writable in zip(self.targets, before.matched):
            unwritable = self._count_unwritable(target)
            count = ZombieCount(target.rule, self._record.name, self.end(target.rule), writable + unwritable)
            count.unwritable = unwritable
            counts.append(count)
        shown: list[ZombieRow] = []
        for target, count in zip(self.targets, counts):
            if rows and count.matched and len(shown) < _SHOWN_ROWS:
                shown += self._show(target, _SHOWN_ROWS - len(shown))
        if check:
            after = self._predict(before, counts)
        else:
            progress = Progress()
            with telling_what_was_done(progress, "ended"):
                for target, count in zip(self.targets, counts):
                    if count.matched > count.unwritable:
                        count.ended = self._fail(target, progress)
                after = take_census(self._database, self._record, self._statuses, [])
        examined = self._verdicts.examined if self._verdicts else ()
        return ZombieResult(self._record.name, counts, shown, before, after, check, examined)

    def end(self, rule: ZombieRule) -> str:
        return (rule.set_status or self._record.profile.ended).upper()

    def endable(self, target: _Target) -> Any:
        """Return the condition of the rows that the target's rule selects and that can be written."""
        return sa.and_(target.condition, self._writable(target))

    def _writable(self, target: _Target) -> Any:
        return sa.or_(*(condition for condition, _values in self._writes(target)))

    def _target(self, rule: ZombieRule) -> _Target:
        record = self._record
        if rule.since == "created":
            columns = [record.column("created")]
        elif record.profile.touched:
            columns = [record.column(record.profile.touched)]
        else:
            found = [record.find("started"), record.find("created")]
            # A row that began without saying when is as old as the row.
            columns = [column for column in found if column is not None]
            columns = columns or [record.column("started")]
        cutoffs = {column: self._clock.moment(column, rule.older_than) for column in columns}
        axes, status = older_than(record, cutoffs), self._statuses.condition(rule.statuses)
        if self._verdicts is not None:
            axes.append(self._verdicts.gone(record))
            status = sa.and_(status, sa.not_(self._verdicts.alive(record)))
        return _Target(
            rule,
            axes,
            status,
            columns[0] if len(columns) == 1 else sa.func.coalesce(*columns, type_=columns[0].type),
            self._statuses.spelling(rule.set_status or record.profile.ended),
        )

    def _fail(self, target: _Target, progress: Progress) -> int:
        before = progress.changed
        walker = Walker(self._database, Limits(), progress)
        for condition, values in self._writes(target):
            update = self._updating(values)
            for axis in target.axes:
                walker.walk(axis, sa.and_(target.status_condition, condition), update)
        walker.sweep()
        return progress.changed - before

    def _updating(self, values: dict[str, Any]) -> Change:
        update = sa.update(self._record.table).ordered_values(*values.items())

        def change(connection: Any, batch: Any, around_locks: bool) -> int:
            key = self._record.primary_key
            # Whoever holds a row is at work on it, so its task may well live.
            rows = free_rows(connection, key, batch) if around_locks else [batch]
            return sum(int(connection.execute(update.where(some)).rowcount) for some in rows)

        return change

    def _writes(self, target: _Target) -> list[tuple[Any, dict[str, Any]]]:
        """Return what to write, with the condition of the rows that can take it."""
        record, rule = self._record, target.rule
        reason = rule.reason or (f"{rule.describe()}: the worker is taken for dead; ended by fleetops.celery")
        values: dict[str, Any] = {record.column("status").name: target.spelling}
        finished = record.find("finished")
        if finished is not None:
            values[finished.name] = self._clock.moment(finished)
        text = record.find("reason")
        if text is not None:
            values[text.name] = reason[: getattr(text.type, "length", None)]
        values.update(session_values(self._database, record, values))
        if record.profile.result_format is None:
            return [(sa.true(), values)]
        note = record.find("traceback")
        if note is not None:
            was = sa.func.coalesce(sa.cast(record.column("status"), sa.String(50)), "")
            # First, for MySQL and MariaDB read what an assignment before it has written.
            values = {note.name: sa.literal(f"{reason}; the status was ").concat(was), **values}
        return [
            (payload.condition, {**values, **payload.values}) for payload in payloads(record, self.end(rule), reason)
        ]

    def _count_unwritable(self, target: _Target) -> int:
        if self._record.profile.result_format is None:
            return 0
        writable = sa.case((self._writable(target), 1), else_=0)
        counted = sa.select(sa.func.count()).select_from(self._record.table)
        return int(self._database.value(counted.where(target.condition, writable == 0)))

    def _show(self, target: _Target, most: int) -> list[ZombieRow]:
        record = self._record
        task = record.find("task_name")
        writable = self._writable(target)
        rows = self._database.rows(
            sa.select(
                record.identity.label("identity"),
                (task if task is not None else sa.null()).label("task"),
                record.column("status").label("status"),
                target.since.label("since"),
                sa.case((writable, 1), else_=0).label("writable"),
            )
            .where(target.condition)
            .order_by(target.since)
            .limit(most)
        )
        shown = []
        for row in rows:
            since = self._clock.to_utc(target.since, row.since)
            age = self._clock.age_seconds(since)
            shown.append(
                ZombieRow(
                    record.name,
                    target.rule.name,
                    str(row.identity),
                    row.task if row.task is None else str(row.task),
                    self._statuses.label(row.status),
                    since.isoformat() if since else None,
                    age,
                    bool(row.writable),
                    self._verdicts.of(row.identity) if self._verdicts is not None else None,
                )
            )
        return shown

    def _predict(self, before: Census, counts: list[ZombieCount]) -> Census:
        after = dict(before.by_status)
        for status, number in before.matched_by_status.items():
            after[status] -= number
        for count in counts:
            after[count.status] = after.get(count.status, 0) + count.matched - count.unwritable
        return census_of({one: n for one, n in after.items() if n}, before.size)
