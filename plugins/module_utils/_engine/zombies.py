# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ending records whose task is dead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .batches import Change, Walker
from .census import Census, census_of, first_met, take_census, unmet
from .clock import Clock
from .database import Database
from .failures import payloads
from .libraries import sa
from .limits import Limits
from .locked_rows import free_rows
from .profiles import Profile
from .progress import Progress, telling_what_was_done
from .records import RecordTable, known_table
from .rules import ZombieRule
from .sessions import session_values
from .statuses import Statuses
from .zombie_selection import ZombieSelection, select_zombies

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
    def left(self) -> int:
        """How many rows could be written, and were not: their task went on, or other sessions hold them."""
        return 0 if self.check else self.matched - self.unwritable - self.ended

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
    database: Database, record: RecordTable, rules: Sequence[ZombieRule], containers: Containers | None = None
) -> list[tuple[Any, str, Any]]:
    """Return for each rule which rows it would end, what they become, and how the table spells that."""
    zombies = _Zombies(database, record, rules, containers)
    return [(zombies.endable(one), zombies.end(one.rule), zombies.spelling(one.rule)) for one in zombies.selections]


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
        self.selections = [self._select(rule) for rule in rules]

    def run(self, check: bool) -> ZombieResult:
        conditions = [self.endable(selection) for selection in self.selections]
        before = take_census(self._database, self._record, self._statuses, conditions)
        counts = []
        for selection, writable, unwritable in zip(self.selections, before.matched, self._count_unwritable()):
            count = ZombieCount(selection.rule, self._record.name, self.end(selection.rule), writable + unwritable)
            count.unwritable = unwritable
            counts.append(count)
        shown: list[ZombieRow] = []
        for place, count in enumerate(counts):
            if count.matched and len(shown) < _SHOWN_ROWS:
                shown += self._show(place, _SHOWN_ROWS - len(shown))
        if check:
            after = self._predict(before, counts)
        else:
            progress = Progress()
            with telling_what_was_done(progress, "ended"):
                for selection, count in zip(self.selections, counts):
                    if count.matched > count.unwritable:
                        count.ended = self._fail(selection, progress)
                after = take_census(self._database, self._record, self._statuses, [])
        examined = self._verdicts.examined if self._verdicts else ()
        return ZombieResult(self._record.name, counts, shown, before, after, check, examined)

    def end(self, rule: ZombieRule) -> str:
        return (rule.set_status or self._record.profile.ended).upper()

    def spelling(self, rule: ZombieRule) -> Any:
        return self._statuses.spelling(rule.set_status or self._record.profile.ended)

    def endable(self, selection: ZombieSelection) -> Any:
        """Return the condition of the selected rows that can be written."""
        return sa.and_(selection.condition, self._writable(selection.rule))

    def _writable(self, rule: ZombieRule) -> Any:
        return sa.or_(*(condition for condition, _values in self._writes(rule)))

    def _select(self, rule: ZombieRule) -> ZombieSelection:
        selection = select_zombies(self._record, self._clock, self._statuses, rule)
        if self._verdicts is None:
            return selection
        axes = (*selection.axes, self._verdicts.gone(self._record))
        return selection._replace(
            axes=axes, status=sa.and_(selection.status, sa.not_(self._verdicts.alive(self._record)))
        )

    def _fail(self, selection: ZombieSelection, progress: Progress) -> int:
        before = progress.changed
        walker = Walker(self._database, Limits(), progress)
        for condition, values in self._writes(selection.rule):
            update = self._updating(values)
            for axis in selection.axes:
                walker.walk(axis, sa.and_(selection.status, condition), update)
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

    def _writes(self, rule: ZombieRule) -> list[tuple[Any, dict[str, Any]]]:
        """Return what to write, with the condition of the rows that can take it."""
        record = self._record
        reason = rule.reason or (f"{rule.describe()}: the worker is taken for dead; ended by fleetops.celery")
        values: dict[str, Any] = {record.column("status").name: self.spelling(rule)}
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

    def _count_unwritable(self) -> list[int]:
        """Return for each rule how many of its rows cannot be written."""
        counts = [0] * len(self.selections)
        if not counts or self._record.profile.result_format is None:
            return counts
        found = [sa.and_(one.condition, unmet(self._writable(one.rule))) for one in self.selections]
        which = sa.select(first_met(found).label("which")).select_from(self._record.table).where(sa.or_(*found))
        counted = which.subquery()
        grouped = sa.select(counted.c.which, sa.func.count()).group_by(counted.c.which)
        for place, number in self._database.rows(grouped):
            counts[place] = int(number)
        return counts

    def _show(self, place: int, most: int) -> list[ZombieRow]:
        record = self._record
        *earlier, selection = self.selections[: place + 1]
        task = record.find("task_name")
        writable = self._writable(selection.rule)
        rows = self._database.rows(
            sa.select(
                record.identity.label("identity"),
                (task if task is not None else sa.null()).label("task"),
                record.column("status").label("status"),
                selection.since.label("since"),
                sa.case((writable, 1), else_=0).label("writable"),
            )
            .where(selection.condition, *(unmet(one.condition) for one in earlier))
            .order_by(selection.since)
            .limit(most)
        )
        shown = []
        for row in rows:
            since = self._clock.to_utc(selection.since, row.since)
            age = self._clock.age_seconds(since)
            shown.append(
                ZombieRow(
                    record.name,
                    selection.rule.name,
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
