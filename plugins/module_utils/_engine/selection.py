# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A purge rule, applied to a live table: a condition, and the axes to walk along."""

from __future__ import annotations

from typing import Any, NamedTuple

from .axes import Axis, comparable, older_than, whole_table
from .clock import Clock
from .database import Database
from .errors import UsageError
from .libraries import sa
from .records import RecordTable
from .rules import PurgeRule
from .statuses import Statuses

_MOST_GROUPS = 400  # thresholds of keep_last in one statement; SQLite nests no deeper than 1,000


class Selection(NamedTuple):
    """The rows of one rule: those on ``axes`` that meet ``rest``."""

    rule: PurgeRule
    axes: tuple[Axis, ...]
    status: Any
    beside_status: Any
    narrowed: bool = False  #: it asks for more than an age and a status

    @property
    def rest(self) -> Any:
        return sa.and_(self.status, self.beside_status)

    @property
    def condition(self) -> Any:
        return sa.and_(sa.or_(*(axis.condition for axis in self.axes)), self.rest)

    def only(self, condition: Any) -> Selection:
        """Return those of its rows that meet *condition*, too."""
        return self._replace(beside_status=sa.and_(self.beside_status, condition), narrowed=True)


def select_rows(
    database: Database, record: RecordTable, clock: Clock, statuses: Statuses, rule: PurgeRule
) -> Selection:
    """Apply *rule* to *record*.

    :raises UsageError: when the table lacks a column that the rule needs
    """
    status: Any = sa.true()
    # A table without a status column keeps no unfinished rows.
    if not rule.any_status and not (rule.statuses is None and statuses.column is None):
        status = statuses.condition(rule.effective_statuses)
    conditions: list[Any] = [sa.true()]
    if rule.tasks:
        # Loaded only where it is needed: most rules name no tasks.
        from .task_names import task_condition

        name = record.find("task_name")
        # Without names nothing can be selected by them; the purge says so.
        conditions.append(sa.false() if name is None else task_condition(database, name, rule))
    if rule.older_than is not None:
        if not record.age_columns:
            record.column("finished")
        cutoffs = {column: clock.moment(column, rule.older_than) for column in record.age_columns}
        axes = older_than(record, cutoffs)
    else:
        axes = [whole_table(record)]
    if rule.keep_last:
        conditions.append(_beyond_newest(database, record, sa.and_(status, *conditions), rule.keep_last))
    return Selection(rule, tuple(axes), status, sa.and_(*conditions), narrowed=len(conditions) > 1)


def _beyond_newest(database: Database, record: RecordTable, chosen: Any, keep: int) -> Any:
    """Return the condition that a row is not among the newest *keep* of its task.

    Asked once: the row at the threshold of each task, so that batches need no window function.
    """
    from .task_names import exact_name  # loaded only where it is needed

    if len(record.primary_key) != 1 or not record.age_columns:
        raise UsageError(f"keep_last needs a date and a primary key of one column; {record.name} lacks them.")
    key = record.primary_key[0]
    # NULL beside them: SQLite's COALESCE takes no single argument.
    age = comparable(database, sa.func.coalesce(*record.age_columns, sa.null(), type_=record.age_columns[0].type))
    name = record.find("task_name")
    task = exact_name(database, name) if name is not None else None
    place = sa.func.row_number().over(
        partition_by=task if task is not None else sa.literal(1),
        order_by=[age.is_(None), age.desc(), key.desc()],
    )
    ranked = (
        sa.select(
            (task if task is not None else sa.null()).label("task"),
            age.label("age"),
            key.label("key"),
            place.label("place"),
        )
        .where(chosen)
        .subquery()
    )
    thresholds = database.rows(sa.select(ranked.c.task, ranked.c.age, ranked.c.key).where(ranked.c.place == keep))
    if len(thresholds) > _MOST_GROUPS:
        raise UsageError(
            f"keep_last would keep the newest rows of {len(thresholds)} tasks, more than "
            f"{_MOST_GROUPS}; narrow the rule with tasks."
        )
    return sa.or_(
        sa.false(),
        *(
            sa.and_(
                sa.true() if task is None else task.is_(kept) if kept is None else task == kept,
                _older(age, key, threshold, last_key),
            )
            for kept, threshold, last_key in thresholds
        ),
    )


def _older(age: Any, key: Any, threshold: Any, last_key: Any) -> Any:
    if threshold is None:
        return sa.and_(age.is_(None), key < last_key)
    return sa.or_(age < threshold, sa.and_(age == threshold, key < last_key), age.is_(None))
