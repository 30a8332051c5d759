# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schedule of django-celery-beat, changed as its own models would.

Beat reads its tables at intervals. It looks at one row that says when the schedule was last changed,
which Django's signals move; plain SQL sends no signals, so each change here moves it too, in the
same transaction. Source: ``django_celery_beat/models.py`` and ``schedulers.py``, 2.6 to 2.9.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from .clock import server_time
from .crontab import format_crontab
from .database import Database
from .errors import UsageError
from .libraries import sa
from .records import reflect

TASK_TABLE = "django_celery_beat_periodictask"
_CRONTAB_TABLE = "django_celery_beat_crontabschedule"
_CHANGES_TABLE = "django_celery_beat_periodictasks"
_INTERVAL_TABLE = "django_celery_beat_intervalschedule"
_SCHEDULES = ("interval_id", "crontab_id", "solar_id", "clocked_id")
#: What a new row holds where nothing else is said: none of these columns has a default in SQL.
_NEW = {
    "args": "[]",
    "kwargs": "{}",
    "headers": "{}",
    "description": "",
    "enabled": True,
    "one_off": False,
    "total_run_count": 0,
}


@dataclass(frozen=True)
class PeriodicTask:
    """One row of the schedule; of ``crontab`` and ``interval`` one is ``None``, or both where it is of another kind."""

    name: str
    task: str
    enabled: bool
    crontab: str | None
    timezone: str | None
    args: Any
    kwargs: Any
    queue: str | None
    priority: int | None
    expire_seconds: int | None
    description: str
    interval: timedelta | None = field(default=None, compare=False)
    last_run_at: datetime | None = field(default=None, compare=False)
    date_changed: datetime | None = field(default=None, compare=False)
    start_time: datetime | None = field(default=None, compare=False)  #: beat does not send it before


class Beat:
    """The periodic tasks in a database.

    :raises UsageError: when it has no tables of django-celery-beat
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        tables = [reflect(database, name) for name in (TASK_TABLE, _CRONTAB_TABLE, _CHANGES_TABLE)]
        if any(table is None for table in tables):
            raise UsageError(
                f"{database.name} has no table {TASK_TABLE}. Either it is not the application's "
                "database, or the application does not keep its schedule in django-celery-beat."
            )
        self._tasks, self._crontabs, self._changes = tables

    def count(self) -> int:
        """Return how many periodic tasks there are, enabled or not."""
        return int(self._database.value(sa.select(sa.func.count()).select_from(self._tasks)))

    def usual_timezone(self) -> str:
        """Return the time zone that most crontab schedules have; ``UTC`` where there is none."""
        zone, number = self._crontabs.c.timezone, sa.func.count()
        rows = self._database.rows(sa.select(zone).group_by(zone).order_by(number.desc(), zone).limit(1))
        return str(rows[0][0]) if rows else "UTC"

    def find(self, name: str) -> PeriodicTask | None:
        """Return the task called *name*."""
        return next(iter(self._read(self._tasks.c.name == name)), None)

    def tasks(self) -> list[PeriodicTask]:
        """Return all tasks, by name."""
        return self._read(sa.true())

    def now(self) -> datetime:
        """Return the time by the database's clock, aware, in UTC."""
        return server_time(self._database)[0].replace(tzinfo=timezone.utc)

    def _read(self, condition: Any) -> list[PeriodicTask]:
        intervals = sa.table(_INTERVAL_TABLE, *map(sa.column, ("id", "every", "period")))
        rows = self._database.rows(
            sa.select(
                self._tasks,
                *(self._crontabs.c[one].label(f"crontab_{one}") for one in _CRONTAB_COLUMNS),
                intervals.c.every.label("interval_every"),
                intervals.c.period.label("interval_period"),
            )
            .select_from(
                self._tasks.outerjoin(self._crontabs, self._tasks.c.crontab_id == self._crontabs.c.id).outerjoin(
                    intervals, self._tasks.c.interval_id == intervals.c.id
                )
            )
            .where(condition)
            .order_by(self._tasks.c.name)
        )
        return [_periodic_task(row) for row in rows]

    def delete(self, name: str) -> None:
        """Delete the task called *name*, and tell beat."""
        now = self.now()
        with self._database.transaction() as connection:
            self._tell(connection, now)
            connection.execute(sa.delete(self._tasks).where(self._tasks.c.name == name))

    def save(self, name: str, values: Mapping[str, Any], crontab: Mapping[str, str] | None) -> None:
        """Make or change the task called *name*, and tell beat.

        :param values: columns of the task
        :param crontab: columns of its crontab schedule; ``None`` leaves the schedule as it is
        """
        table, now = self._tasks, self.now()
        with self._database.transaction() as connection:
            self._tell(connection, now)
            found = connection.execute(sa.select(table).where(table.c.name == name)).first()
            columns = {**values, "date_changed": _as_kept(now, table.c.date_changed)}
            if crontab is not None:
                columns.update(dict.fromkeys(_SCHEDULES, None), crontab_id=self._crontab(connection, crontab))
            if columns.get("expire_seconds") is not None:
                columns["expires"] = None  # its models refuse to save a row that has both
            if found is None:
                connection.execute(sa.insert(table).values({**_NEW, "name": name, **columns}))
                return
            if crontab is not None or bool(columns.get("enabled", found.enabled)) != bool(found.enabled):
                # Beat counts from the last run. From one that is long gone, or that had another schedule, the
                # task would be overdue and run at once; without it, beat counts from date_changed.
                columns["last_run_at"] = None
            if crontab is not None and found.clocked_id is not None:
                columns["one_off"] = False  # a clocked task always is
            connection.execute(sa.update(table).where(table.c.id == found.id).values(columns))

    def _crontab(self, connection: Any, crontab: Mapping[str, str]) -> int:
        """Return the id of the crontab schedule, shared with other tasks as beat shares it."""
        table = self._crontabs
        found = connection.execute(
            sa.select(table.c.id).where(*(table.c[one] == value for one, value in crontab.items())).order_by(table.c.id)
        ).scalar()
        if found is None:
            found = connection.execute(sa.insert(table).values(dict(crontab))).inserted_primary_key[0]
        return int(found)

    def _tell(self, connection: Any, now: datetime) -> None:
        """Move the time of the last change forward, whatever clock it was written by.

        Beat looks whether it is later than what it last saw. The present time may not be: the application's clock
        can be ahead, or its times be in another zone. Nor may it lie ahead of that clock, which would hide the
        application's own changes. So it moves by as little as every database keeps.

        It comes first in each transaction, as in Django's, for locks are taken in the same order then.
        """
        table = self._changes
        last = connection.execute(sa.select(table.c.last_update).where(table.c.ident == 1).with_for_update()).scalar()
        if last is None:
            connection.execute(sa.insert(table).values(ident=1, last_update=_as_kept(now, table.c.last_update)))
        else:
            moved = last + timedelta(milliseconds=1)
            connection.execute(sa.update(table).where(table.c.ident == 1).values(last_update=moved))


_CRONTAB_COLUMNS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")


def _periodic_task(row: Any) -> PeriodicTask:
    parts = {one: getattr(row, f"crontab_{one}") for one in _CRONTAB_COLUMNS}
    return PeriodicTask(
        name=row.name,
        task=row.task,
        enabled=bool(row.enabled),
        crontab=format_crontab(parts) if parts["minute"] is not None else None,
        timezone=parts["timezone"],
        args=_decoded(row.args),
        kwargs=_decoded(row.kwargs),
        queue=row.queue,
        priority=row.priority,
        expire_seconds=row.expire_seconds,
        description=row.description,
        # Its periods have the names of a timedelta's units.
        interval=timedelta(**{row.interval_period: row.interval_every}) if row.interval_every else None,
        last_run_at=_aware(row.last_run_at),
        date_changed=_aware(row.date_changed),
        start_time=_aware(row.start_time),
    )


def _aware(moment: datetime | None) -> datetime | None:
    """Return a date of beat's as an aware one in UTC.

    Where the column keeps no zone, beat reads and writes UTC, with Django's USE_TZ off too: only the dates that Django
    itself writes then, such as date_changed in its admin, are local, and beat takes them for UTC as well.
    """
    if moment is None:
        return None
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


def _as_kept(moment: datetime, column: Any) -> datetime:
    """Return *moment* as beat reads it: UTC, without its zone where the column keeps none."""
    return moment if getattr(column.type, "timezone", False) else moment.replace(tzinfo=None)


def _decoded(text: str) -> Any:
    """Return what *text* says as JSON; *text* itself where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def describe(task: PeriodicTask | None) -> str:
    """Return the state of *task* in words: ``enabled at 0 3 * * * (UTC)``."""
    if task is None:
        return "absent"
    when = f" at {task.crontab} ({task.timezone})" if task.crontab else ""
    return f"{'enabled' if task.enabled else 'disabled'}{when}"


def describe_change(name: str, before: PeriodicTask | None, after: PeriodicTask | None) -> str:
    """Return what the row called *name* was, and what it has become where that is another state."""
    return f"{name}: {describe(before)}" + (f" → {describe(after)}" if before != after else "")


_NOT_SHOWN = ("interval", "last_run_at", "date_changed", "start_time")


def task_document(task: PeriodicTask | None) -> dict[str, Any] | None:
    """Return *task* as plain data, without what only beat and the doctor look at; ``None`` for none."""
    if task is None:
        return None
    return {key: value for key, value in asdict(task).items() if key not in _NOT_SHOWN}


def task_diff(name: str, before: PeriodicTask | None, after: PeriodicTask | None) -> dict[str, Any]:
    """Return the row before and after, as ``--diff`` shows it."""
    return {
        "before_header": name,
        "after_header": name,
        "before": task_document(before) or {},
        "after": task_document(after) or {},
    }
