# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleting what the rules of one purge select: from the last questions before it to the last row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .batches import Walker
from .census import Census, take_census, take_totals
from .children import ChildTables
from .chords import Chords
from .clock import Clock
from .database import Database
from .deletion import Deletion
from .draining import Draining
from .errors import DatabaseError, RefusedError
from .followers import age_of_followers
from .libraries import sa
from .limits import Limits
from .locked_rows import free_rows
from .pointed_at import PointedAt
from .progress import DRAINED, Progress, telling_what_was_done
from .purge_result import PurgeResult, RuleCount
from .records import RecordTable
from .rehearsal import Rehearsal
from .related import RelatedRows, find_orphans, rows_that_follow
from .rules import PurgeRule
from .selection import Selection
from .sizes import table_size
from .statuses import Statuses
from .strategy import Strategy
from .wording import record_words

if TYPE_CHECKING:
    from .archive import Archive, ArchivePlace
    from .gates import Gatekeeper
    from .pace import Pace


class Purging:
    """One purge of one table: its selections, made at once, and the walks over them."""

    def __init__(
        self,
        database: Database,
        record: RecordTable,
        statuses: Statuses,
        clock: Clock,
        selections: Sequence[Selection],
        limits: Limits,
        rehearsal: Rehearsal,
        referenced: str | None,
        strategy: Strategy,
        place: ArchivePlace | None,
    ) -> None:
        self._database = database
        self._record = record
        self._limits = limits
        self._strategy = strategy
        self._statuses = statuses
        rules = [one.rule for one in selections]
        self._place = place
        self._deletion = Deletion(database)
        if place is not None:
            self._deletion = self._archive(place, rules, clock)
        self._everything = any(rule.all for rule in rules)
        self._chords = Chords(database, record, clock, statuses, age_of_followers(rules), self._everything)
        self._children = ChildTables(database, record, self._deletion)
        self._pointed_at = PointedAt(database, record, self._children, referenced, archived=place is not None)
        self._referenced = self._spare_orphans()
        self._protected = 0
        self._rehearsal = rehearsal
        self._selections = [self._apart_from_later_chords(one) for one in selections]
        self._shield()
        self._referenced += self._pointed_at.count(record.table, sa.or_(*self._conditions))
        self._selections = [self._unreferenced(one) for one in self._selections]
        self._followers = list(rows_that_follow(database, record, rules, clock, self._chords))
        self._referenced += sum(one.leave_referenced(self._pointed_at) for one in self._followers)
        self._orphans = list(find_orphans(database, self._chords))
        self._progress = Progress()
        self._gatekeeper = self._keep_gates()
        # Of records that have children, a batch deletes those first.
        self._walker = self._walker_of(record.table, self._children.count_batch, foresees=not self._children.tables)
        self._locked_out = False
        self._kept = False

    @property
    def _conditions(self) -> list[Any]:
        return [self._rehearsal.condition(one) for one in self._selections]

    def run(self, check: bool, before: Census | None, watch: Callable[[Pace], None] | None) -> PurgeResult:
        """Delete, or in check mode foretell it.

        :param before: the table's totals; ``None`` counts every row by status, before and after
        """
        self._refuse_referenced()
        counts = [RuleCount(one.rule, 0) for one in self._selections]
        by_status = before is None
        if before is None:
            before = self._count()
            for count, matched in zip(counts, before.matched):
                count.matched = matched
            self._refuse_too_many(before)
        self._refuse_too_little_space(before, by_status)
        self._strategy.choose(before, sa.or_(*self._conditions))
        if watch and not check:
            self._progress.observe = partial(self._follow, watch, before.all_matched if by_status else None)
        with telling_what_was_done(self._progress, "deleted"):
            if check:
                related = self._children.plan(sa.or_(*self._conditions))
                after, left = before.without(self._foretell(before)), before.all_matched
            else:
                with self._deletion:
                    self._delete(counts)
                related = self._children.deleted
                left = self._count_left(counts)
                after = self._after(before, by_status, left, sum(one.deleted for one in counts))
            beside = [one.count() for one in self._followers + self._orphans]
            remaining = {self._record.name: left, **{one.table: one.matched - one.deleted for one in beside}}
            if not check:
                self._say_why(remaining)
        self._note_missing_names(counts)
        return PurgeResult(
            table=self._record.name,
            rules=counts,
            related=[one for one in related + beside if one.matched],
            before=before,
            after=after,
            protected=self._protected,
            referenced=self._referenced,
            remaining=sum(remaining.values()),
            progress=self._progress,
            seconds=self._progress.seconds,
            check=check,
            archive=self._deletion.archived,
            strategy=self._strategy.name,
            strategy_reason=self._strategy.reason,
            cautions=list(self._pointed_at.notes()),
            cleared=self._strategy.cleared,
        )

    def _follow(self, watch: Callable[[Pace], None], counted: int | None) -> None:
        # Loaded only where it is needed: many runs find nothing to do.
        from .estimates import estimate_matching
        from .pace import follow

        matched = counted
        if matched is None:
            matched = estimate_matching(self._database, self._record.table, sa.or_(*self._conditions))
        beside = sum(one.estimate() for one in self._followers + self._orphans)
        if matched is not None:
            matched += beside
        most = self._limits.max_rows
        if most is not None and (matched is None or most < matched):
            matched = most
        follow(self._progress, watch, matched, estimated=counted is None or beside > 0)

    def _count(self) -> Census:
        return take_census(
            self._database,
            self._record,
            self._statuses,
            self._conditions,
            self._rehearsal.status(self._statuses.column),
        )

    def _foretell(self, before: Census) -> dict[str, int]:
        """Return how many records of each status a run would delete."""
        most = self._limits.max_rows
        beside = [one.count().matched for one in self._orphans + self._followers] if most is not None else []
        if most is None or before.all_matched + sum(beside) <= most:
            return before.matched_by_status
        self._progress.stop("max_rows", f"it would end after {most:,} rows")
        # The counters of chords go before the records, what follows these goes behind.
        left = most - sum(beside[: len(self._orphans)])
        # Loaded only where it is needed: most runs have no such limit.
        from .foretelling import first_by_status

        return first_by_status(self._database, self._record, self._statuses, self._selections, self._rehearsal, left)

    def _after(self, before: Census, by_status: bool, remaining: int, deleted: int) -> Census:
        if not deleted:
            return before  # to count again would only tell what others did
        if by_status:
            return self._count()
        if before.estimated:
            # Not as the server has it now, which may be seconds behind.
            left = max(before.total - deleted, remaining)
            return Census(left, table_size(self._database, self._record.table), estimated=True)
        return take_totals(self._database, self._record, self._statuses)

    def _apart_from_later_chords(self, selection: Selection) -> Selection:
        """Leave rows that end while this runs: a chord that begins meanwhile may wait for them."""
        if self._everything or self._chords.table is None or selection.rule.older_than is not None:
            return selection
        return selection.only(self._chords.ended_before)

    def _shield(self) -> None:
        """Keep the members of living chords, unless every record is to go."""
        if self._everything:
            return
        protected = self._chords.protected(sa.or_(*self._conditions))
        if protected:
            self._protected += len(protected)
            keep = self._record.column("task_id").not_in(protected)
            self._selections = [one.only(keep) for one in self._selections]

    def _spare_orphans(self) -> int:
        """Have chords live on whose counters stay because something points at them; return how many."""
        keep = self._pointed_at.keep(self._chords.table) if self._chords.orphans else None
        return 0 if keep is None else self._chords.keep(sa.not_(keep))

    def _unreferenced(self, selection: Selection) -> Selection:
        keep = self._pointed_at.keep(self._record.table)
        if keep is None:
            return selection
        return selection.only(keep)

    def _archive(self, place: ArchivePlace, rules: Sequence[PurgeRule], clock: Clock) -> Archive:
        # Loaded only where it is needed: most runs archive nothing.
        from .archive import Archive
        from .archive_contents import describe_purge, describe_table

        manifest = describe_purge(self._database, self._record, rules, clock)
        return Archive(self._database, place, manifest, partial(describe_table, self._database, self._record))

    def _walker_of(self, table: Any, committed: Callable[[], None] = lambda: None, *, foresees: bool = True) -> Walker:
        limits = self._limits.with_batches_of(self._deletion.most_rows(table))
        return Walker(
            self._database,
            limits,
            self._progress,
            committed,
            self._gatekeeper,
            self._deletion,
            foresees=foresees,
        )

    def _keep_gates(self) -> Gatekeeper | None:
        if self._limits.gates is None:
            return None
        # Loaded only where it is needed: most runs have no gates.
        from .gates import Gatekeeper

        return Gatekeeper(self._database, self._record.table, self._limits.gates)

    def _note_missing_names(self, counts: list[RuleCount]) -> None:
        by_name = [one for one in counts if one.rule.tasks and not one.matched]
        if not by_name:
            return
        name = self._record.find("task_name")
        rows = self._database.rows(sa.select(self._record.identity).limit(1))
        named = name is not None and self._database.rows(sa.select(name).where(name.is_not(None)).limit(1))
        if rows and not named:
            for one in by_name:
                one.note = (
                    f"cannot select by task: no row of {self._record.name} has a task name. "
                    "Celery stores names only where result_extended is on"
                )

    def _refuse_referenced(self) -> None:
        self._pointed_at.refuse(self._record.table, sa.or_(*self._conditions))
        for rows in self._orphans + self._followers:
            for condition in rows.conditions:
                self._pointed_at.refuse(rows.table, condition)

    def _refuse_too_many(self, before: Census) -> None:
        most = self._limits.max_percent
        if most is not None and before.all_matched * 100 > most * before.total:
            share = 100 * before.all_matched / before.total
            raise RefusedError(
                f"The rules select {before.all_matched:,} of {before.total:,} rows of "
                f"{self._record.name} ({share:.1f} %), more than max_percent allows ({most:g} %). "
                "Nothing was deleted."
            )

    def _refuse_too_little_space(self, before: Census, counted: bool) -> None:
        if self._place is None:
            return
        size = before.size.table_bytes + self._children.table_bytes
        if self._place.lacks_space(size) is None:
            return
        # Not for the whole table; counting tells how much of it goes.
        census = before if counted else self._count()
        lacking = self._place.lacks_space(size * census.all_matched / max(census.total, 1))
        if lacking:
            raise RefusedError(lacking)

    def _delete(self, counts: list[RuleCount]) -> None:
        self._delete_beside(self._orphans)
        if self._walker.may_go_on():
            # Whoever holds a counter that is left, or has moved its count, is at work on the chord.
            if self._orphans and self._chords.keep():
                self._shield()
            if self._strategy.name != "batches":
                self._progress.tell()
            deleted = self._strategy.run(self._statuses, self._selections)
            for count, number in zip(counts, deleted):
                count.deleted = number
            self._progress.changed += sum(deleted)
            self._progress.batches += bool(deleted)
        draining = Draining(self._database, self._record.table, self._walker, self._delete_batch)
        for selection, count in zip(self._selections, counts):
            number, count.drained = draining.drain(selection.axes, selection.rest)
            count.deleted += number
            self._kept = self._kept or draining.kept
        self._locked_out = self._locked_out or self._walker.locked_out
        self._delete_beside(self._followers)

    def _delete_beside(self, tables: Sequence[RelatedRows]) -> None:
        for rows in tables:
            walker = self._walker_of(rows.table)
            rows.delete(walker, self._deletion)
            self._locked_out = self._locked_out or walker.locked_out
            self._kept = self._kept or rows.kept

    def _delete_batch(self, connection: Any, condition: Any, around_locks: bool) -> int:
        self._children.begin_batch()
        if not around_locks:
            return self._delete_rows(connection, condition)
        free = free_rows(connection, self._record.primary_key, condition)
        return sum(self._delete_rows(connection, rows) for rows in free)

    def _delete_rows(self, connection: Any, condition: Any) -> int:
        self._children.delete(connection, condition)
        return self._deletion.delete(connection, self._record.table, condition)

    def _count_left(self, counts: list[RuleCount]) -> int:
        """Return how many records still match."""
        drained = all(count.drained for count in counts)
        # In one census, where a row counts for one rule only.
        left = [0] * len(counts) if drained else self._count().matched
        for count, number in zip(counts, left):
            count.matched = count.deleted + number
        return sum(left)

    def _say_why(self, left: dict[str, int]) -> None:
        """See that the run says why rows are *left*, in whichever table."""
        remaining = sum(left.values())
        if not remaining:
            self._progress.stop(*DRAINED)  # a limit that was met with the last row stopped nothing
        elif not self._progress.ended_early:
            tables = " and ".join(name for name, number in left.items() if number)
            if self._kept and not self._locked_out:
                raise DatabaseError(
                    f"The server keeps {record_words(remaining)} of {tables}, though they match and nobody holds them. "
                    "See what stands against the deletion: a trigger, a rule, or a policy of row security."
                )
            why = (
                f"other sessions hold locks on rows of {tables} that match"
                if self._locked_out
                else f"rows of {tables} came to match while it ran"
            )
            self._progress.stop("gate", f"{why}; {remaining:,} remain")
