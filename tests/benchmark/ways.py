# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways of deleting the older half of the results."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import programs
import sqlalchemy as sa
from programs import Measured
from records import DAYS, HALF, TABLE, VERSION
from support.applications import Application
from support.running.collection import clean_environment, link_checkout
from support.servers import Database

Way = Callable[[Database], Measured]


def purge(database: Database) -> Measured:
    """The collection's."""
    environment = clean_environment({"PYTHONPATH": str(link_checkout())})
    return programs.run("engine_program.py", environment, {"url": database.url, "older_than": HALF})


def rewrite(database: Database) -> Measured:
    """The collection's, of nine rows in ten, with an exclusive lock allowed."""
    environment = clean_environment({"PYTHONPATH": str(link_checkout())})
    order = {"url": database.url, "older_than": f"{DAYS // 10}d", "exclusive_lock": 60}
    return programs.run("engine_program.py", environment, order)


def delete_and_vacuum(database: Database) -> Measured:
    """As somebody would type it for nine rows in ten; it returns no space."""
    return _reclaim(database, "ANALYZE")


def delete_and_vacuum_full(database: Database) -> Measured:
    """The same with the space returned."""
    return _reclaim(database, "FULL, ANALYZE")


def _reclaim(database: Database, options: str) -> Measured:
    deleted = raw_delete(database, days=DAYS / 10)
    engine = database.engine(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        began = time.perf_counter()
        connection.execute(sa.text(f"VACUUM ({options}) {TABLE}"))
        seconds = deleted.seconds + time.perf_counter() - began
    engine.dispose()
    return Measured(seconds, deleted.deleted, seconds)


def raw_delete(database: Database, days: float = DAYS / 2) -> Measured:
    """One statement, as somebody would type it."""
    cutoff = datetime.now(timezone.utc) - timedelta(days=days)
    engine = database.engine()
    with engine.connect() as connection:
        began = time.perf_counter()
        with connection.begin():
            done = connection.execute(sa.text(f"DELETE FROM {TABLE} WHERE date_done < :cutoff"), {"cutoff": cutoff})
        seconds = time.perf_counter() - began
    engine.dispose()
    return Measured(seconds, done.rowcount, seconds)


def delete_expired(database: Database) -> Measured:
    """That of django-celery-results."""
    return _delete_expired(database, listening=False)


def delete_expired_heard(database: Database) -> Measured:
    """The same where the application has a receiver of the signal `post_delete`."""
    return _delete_expired(database, listening=True)


def _delete_expired(database: Database, listening: bool) -> Measured:
    environment = Application(database, results_version=VERSION).environment()
    return programs.run("django_program.py", environment, {"days": DAYS / 2, "listening": listening})
