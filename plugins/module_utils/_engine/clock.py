# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The time, as the database and its columns tell it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from .database import Database
from .libraries import sa
from .records import RecordTable

# Clocks of hosts in one deployment differ by less.
_TOLERANCE = timedelta(minutes=5)


class Clock:
    """One moment, fixed when this is made, in UTC and in the zone of each column.

    A date column without a zone may hold UTC or the server's local time. Where the profile does not
    know which, and the two differ, the earlier of both is taken, under which rows look younger and
    so live longer; unless the newest row lies ahead of it, which only the later one explains.
    """

    def __init__(self, database: Database, record: RecordTable) -> None:
        self.utc, local = server_time(database)
        self.local_offset = timedelta(minutes=round((local - self.utc).total_seconds() / 60))
        self._offset = self._naive_offset(database, record)

    @property
    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        return self.utc.replace(tzinfo=timezone.utc)

    def age_seconds(self, since: datetime | None) -> int | None:
        """Return the seconds from *since* (aware) to now."""
        return None if since is None else int((self.now - since).total_seconds())

    def moment(self, column: Any, ago: timedelta = timedelta(0)) -> datetime:
        """Return the moment *ago* before now, to compare with *column*."""
        if _keeps_zone(column):
            return self.now - ago
        offset = self.local_offset if _is_mysql_timestamp(column) else self._offset
        return self.utc + offset - ago

    def to_utc(self, column: Any, value: Any) -> datetime | None:
        """Return a value of *column* as an aware time in UTC; ``None`` for no or no valid date."""
        if not isinstance(value, datetime):
            return None
        if value.tzinfo is not None:
            return value.astimezone(timezone.utc)
        return (value - (self.moment(column) - self.utc)).replace(tzinfo=timezone.utc)

    def _naive_offset(self, database: Database, record: RecordTable) -> timedelta:
        zone = record.profile.zones.get(database.kind)
        if zone == "utc" or not self.local_offset:
            return timedelta(0)
        if zone == "local":
            return self.local_offset
        naive = [column for column in record.dates if not _keeps_zone(column)]
        if not naive:
            return timedelta(0)
        rows = database.rows(sa.select(*(sa.func.max(column) for column in naive)))
        newest = max((value for value in rows[0] if isinstance(value, datetime)), default=None)
        earlier, later = sorted((timedelta(0), self.local_offset))
        # A date that lies ahead in both is a wrong one, and tells nothing of the others.
        if newest is not None and earlier + _TOLERANCE < newest - self.utc <= later + _TOLERANCE:
            return later
        return earlier


def _keeps_zone(column: Any) -> bool:
    return bool(getattr(column.type, "timezone", False))


def _is_mysql_timestamp(column: Any) -> bool:
    # MySQL keeps TIMESTAMP in UTC and shows it in the session's zone.
    dialect = str(type(column.type).__module__)
    return "mysql" in dialect and type(column.type).__name__ == "TIMESTAMP"


def server_time(database: Database) -> tuple[datetime, datetime]:
    """Return the time by the database's clock, without a zone: in UTC, and in its session's zone."""
    if database.kind == "postgresql":
        utc, local = database.rows(
            sa.select(
                sa.func.timezone("UTC", sa.func.clock_timestamp()),
                sa.cast(sa.func.clock_timestamp(), sa.DateTime()),
            )
        )[0]
    elif database.kind == "mysql":
        utc, local = database.rows(sa.select(sa.func.utc_timestamp(6), sa.func.now(6)))[0]
    else:
        utc = datetime.now(timezone.utc).replace(tzinfo=None)
        local = datetime.now()
    return utc, local
