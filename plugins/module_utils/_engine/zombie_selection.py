# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A zombie rule, applied to a live table: which rows it selects.

Apart from what ends them, for statistics only count them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .axes import Axis, older_than
from .clock import Clock
from .libraries import sa
from .records import RecordTable
from .rules import ZombieRule
from .statuses import Statuses


class ZombieSelection(NamedTuple):
    """The rows of one rule: those on ``axes`` that meet ``status``."""

    rule: ZombieRule
    axes: tuple[Axis, ...]
    status: Any
    since: Any  #: the date that tells a row's age

    @property
    def condition(self) -> Any:
        return sa.and_(sa.or_(*(axis.condition for axis in self.axes)), self.status)


def select_zombies(record: RecordTable, clock: Clock, statuses: Statuses, rule: ZombieRule) -> ZombieSelection:
    """Apply *rule* to *record*.

    :raises UsageError: when the table lacks a column that the rule needs
    """
    if rule.since == "created":
        columns = [record.column("created")]
    elif record.profile.touched:
        columns = [record.column(record.profile.touched)]
    else:
        found = [record.find("started"), record.find("created")]
        # A row that began without saying when is as old as the row.
        columns = [column for column in found if column is not None]
        columns = columns or [record.column("started")]
    cutoffs = {column: clock.moment(column, rule.older_than) for column in columns}
    since = columns[0] if len(columns) == 1 else sa.func.coalesce(*columns, type_=columns[0].type)
    status = statuses.condition(rule.statuses)
    if record.profile.flags:
        # A session that has its end has been closed, whatever its flag says.
        status = sa.and_(status, record.column("finished").is_(None))
    return ZombieSelection(rule, tuple(older_than(record, cutoffs)), status, since)
