# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorder behind a pooler: the application's sessions keep their time zone, and everything else."""

from __future__ import annotations

from support.servers import PostgreSQL
from support.servers.pgbouncer import PgBouncer, in_every_session
from support.tracking import TrackedWorker
from support.waiting import wait_until

TASKS = 20
_SETTINGS = ("timezone", "synchronous_commit", "lock_timeout", "statement_timeout", "jit")


def test_it_leaves_nothing_in_the_sessions(postgresql: PostgreSQL, pooler: PgBouncer) -> None:
    database = postgresql.new_database(time_zone="Asia/Seoul")
    application = pooler.through(database)
    shown = "SELECT " + ", ".join(f"current_setting('{name}')" for name in _SETTINGS)
    before = in_every_session(application, shown)
    with TrackedWorker(application.url) as worker:
        worker.send(*["add.si(1, 2)"] * TASKS)
        wait_until(
            lambda: database.scalar("SELECT count(*) FROM task_logs WHERE status = 'SUCCESS'") == TASKS, seconds=60
        )
        assert in_every_session(application, shown) == before
    away = "SELECT max(abs(extract(epoch FROM now() - created_at))) FROM task_logs"
    assert database.scalar(away) < 600, "times are in UTC, or know their zone"
    database.drop()
