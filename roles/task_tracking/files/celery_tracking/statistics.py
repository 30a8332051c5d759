# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was recorded, read for a dashboard, and deleted when it is old."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .settings import database_url

if TYPE_CHECKING:
    import sqlalchemy as sa

_log = logging.getLogger("celery_tracking")

#: What a task that has begun and not ended is called.
_RUNNING = "STARTED"


@contextmanager
def _connection(session: Any) -> Iterator[Any]:
    """The caller's session or connection, or else one of our own."""
    if session is not None:
        yield session
        return
    from .database import open_engine

    engine = open_engine(database_url())
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _rows(session: Any, query: sa.sql.Select[Any]) -> list[dict[str, Any]]:
    with _connection(session) as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def get_task_statistics(session: Any = None) -> dict[str, int]:
    """Return how many tasks there are in each status: ``{"SUCCESS": 45, "FAILURE": 5}``.

    :param session: a session or connection of SQLAlchemy; one of our own where it is None
    """
    import sqlalchemy as sa

    from .schema import task_logs

    query = sa.select(task_logs.c.status, sa.func.count().label("tasks")).group_by(task_logs.c.status)
    return {row["status"]: row["tasks"] for row in _rows(session, query)}


def get_running_tasks(session: Any = None) -> list[dict[str, Any]]:
    """Return the tasks that run, the oldest first."""
    import sqlalchemy as sa

    from .schema import task_logs as table

    c = table.c
    query = sa.select(c.task_id, c.task_name, c.worker_name, c.started_at, c.retries, c.progress_state, c.progress)
    return _rows(session, query.where(c.status == _RUNNING).order_by(c.started_at, c.id))


def get_online_workers(session: Any = None) -> list[dict[str, Any]]:
    """Return the workers that have come and not gone, by name.

    One that is silent for as long as the profile's rule says has gone: it was killed, with all that could have said so.
    """
    import sqlalchemy as sa
    from celery_maintenance.engine.profiles import find_profile

    from .bulk import moment
    from .records import ONLINE
    from .schema import worker_status as table

    ((rule,),) = (one.zombie_rules for one in find_profile("task_logs").dependents)
    c = table.c
    with _connection(session) as connection:
        dialect = _bind_of(connection).dialect.name
        heard_since = moment(time.time() - rule.older_than.total_seconds(), dialect)
        query = sa.select(
            c.worker_name, c.started_at, c.last_heartbeat, c.active_tasks, c.processed_tasks, c.failed_tasks,
            c.dropped_records,
        )  # fmt: skip
        return _rows(
            connection, query.where(c.status == ONLINE, c.last_heartbeat >= heard_since).order_by(c.worker_name)
        )


def get_worker_status(session: Any = None) -> list[dict[str, Any]]:
    """Return all workers that there ever were, by name, as they said last how they are."""
    import sqlalchemy as sa

    from .schema import worker_status as table

    columns = [column for column in table.columns if column.name != "id"]
    return _rows(session, sa.select(*columns).order_by(table.c.worker_name))


def get_realtime_status(session: Any = None) -> dict[str, Any]:
    """Return how many tasks run and how many workers are online, and the tasks' ids and names."""
    running = get_running_tasks(session)
    return {
        "running_tasks": len(running),
        "online_workers": len(get_online_workers(session)),
        "tasks": [{"id": task["task_id"], "name": task["task_name"]} for task in running],
    }


def cleanup_old_records(session: Any = None, days: int = 30) -> int:
    """Delete tasks that are older than *days*, with all that belongs to them; how many there were.

    Where another run is at the table, that is left to it, and the log says so.

    :param session: whose database is cleaned; that of the settings where it is None. It is not used itself: a purge
        commits each of its batches.
    """
    from celery_maintenance.engine.database import Database
    from celery_maintenance.engine.errors import TableBusyError
    from celery_maintenance.engine.limits import Limits
    from celery_maintenance.engine.profiles import find_profile
    from celery_maintenance.engine.purge import purge
    from celery_maintenance.engine.records import RecordTable
    from celery_maintenance.engine.rules import parse_purge_rules
    from celery_maintenance.engine.table_lock import table_lock

    rules = parse_purge_rules([{"name": "old", "statuses": ["*"], "older_than": f"{int(days)}d"}])
    with Database(_url_of(session) or database_url()) as database:
        table = RecordTable(database, find_profile("task_logs"))
        try:
            with table_lock(database, table.name):
                deleted: int = purge(database, table, rules, Limits()).deleted
        except TableBusyError as busy:
            _log.info("%s", busy)
            return 0
    return deleted


def _url_of(session: Any) -> str | None:
    if session is None:
        return None
    url: str = _bind_of(session).engine.url.render_as_string(hide_password=False)
    return url


def _bind_of(session: Any) -> Any:
    return session.get_bind() if hasattr(session, "get_bind") else session
