# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rows of the tables beside a record table follow its records.

Group results and queue statistics have no status: their rows go at the age at which every finished record has gone,
and not before a day has passed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from .axes import Axis, older_than, whole_table
from .clock import Clock
from .database import Database
from .records import RecordTable, reflect
from .rules import PurgeRule

#: Tasks of a younger group may still run, and a chord whose members ended later may be about to go on.
_YOUNGEST = timedelta(days=1)


class Follower(NamedTuple):
    """A table beside the record table, and along what to walk over the rows that are old enough."""

    table: RecordTable
    axes: list[Axis]


def find_followers(
    database: Database, record: RecordTable, rules: Sequence[PurgeRule], clock: Clock
) -> Iterator[Follower]:
    """Yield what follows the records that *rules* delete; tables that are missing are left out."""
    age = age_of_followers(rules)
    if age is None:
        return
    for profile in record.profile.followers:
        table = reflect(database, profile.table)
        if table is None:
            continue
        follower = RecordTable(database, profile, table)
        if any(rule.all for rule in rules):
            axes = [whole_table(follower)]
        else:
            axes = older_than(follower, {column: clock.moment(column, age) for column in follower.age_columns})
        yield Follower(follower, axes)


def age_of_followers(rules: Sequence[PurgeRule]) -> timedelta | None:
    """Return the age at which *rules* have deleted every finished record, a day at the least.

    ``None`` where they keep some of them for ever: then nothing follows.
    """
    ages = []
    for status in ("SUCCESS", "FAILURE"):
        covering = [
            rule.older_than or timedelta(0)
            for rule in rules
            if not rule.tasks and not rule.keep_last and (rule.any_status or status in rule.effective_statuses)
        ]
        if not covering:
            return None
        ages.append(min(covering))
    return max(*ages, _YOUNGEST)
