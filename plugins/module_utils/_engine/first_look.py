# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a purge has anything to do at all."""

from __future__ import annotations

from collections.abc import Sequence

from .clock import Clock
from .database import Database
from .followers import find_followers
from .libraries import sa
from .records import RecordTable, known_table
from .selection import Selection


def finds_nothing(database: Database, record: RecordTable, selections: Sequence[Selection], clock: Clock) -> bool:
    """Whether no record matches, nothing would follow the records, and no chord is counted, living or not."""
    records = (axis.look(one.rest) for one in selections for axis in one.axes)
    chords = record.profile.chords
    if any(database.rows(look) for look in records) or (chords and _has_rows(database, chords)):
        return False
    if not any(_has_rows(database, profile.table) for profile in record.profile.followers):
        return True
    followers = find_followers(database, record, [one.rule for one in selections], clock)
    return not any(database.rows(axis.look(sa.true())) for one in followers for axis in one.axes)


def _has_rows(database: Database, name: str) -> bool:
    table = known_table(database, name)
    return table is not None and bool(database.rows(sa.select(sa.literal_column("1")).select_from(table).limit(1)))
