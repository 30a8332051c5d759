# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A purge that the server turns away goes on: after a deadlock, and in smaller batches after a timeout."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from support.engine import purge
from support.servers import Database
from support.servers.base import open_engine
from support.tables import create_django_celery_results, fill
from support.tables.rows import TASK_RESULT, task_results
from support.waiting import someone_waits, wait_until

ROWS = 2000


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_deadlock_is_lost_and_the_batch_tried_again(request: pytest.FixtureRequest, kind: str) -> None:
    database: Database = request.getfixturevalue(f"{kind}_database")
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(ROWS, days=10), task_results(4 * ROWS, "STARTED", days=10)])
    first, middle, last = (_row(database, place) for place in (0, ROWS // 2, ROWS - 1))
    deadlocks = _deadlocks(database)
    outcome: list[dict[str, Any]] = []
    engine = open_engine(database.admin_url if kind == "postgresql" else database.url)
    with engine.connect() as other, other.begin():
        # The server has the purge give way: PostgreSQL whoever looks first, MariaDB whoever has done less.
        if kind == "postgresql":
            other.execute(sa.text("SET deadlock_timeout = '1min'"))
        other.execute(sa.text(f"UPDATE {TASK_RESULT} SET meta = 'x' WHERE id > {ROWS}"))
        other.execute(sa.text(f"SELECT id FROM {TASK_RESULT} WHERE id = {middle} FOR UPDATE"))
        running = threading.Thread(target=lambda: outcome.append(purge(database, lock_timeout=20)))
        running.start()
        # By then the purge has one end, in whichever order.
        wait_until(lambda: someone_waits(database) or not running.is_alive())
        other.execute(sa.text(f"UPDATE {TASK_RESULT} SET meta = 'y' WHERE id IN ({first}, {last})"))
    running.join()
    engine.dispose()
    assert (outcome[0]["deleted"], outcome[0]["stopped"]) == (ROWS, "drained")
    assert _deadlocks(database) == deadlocks + 1


def _deadlocks(database: Database) -> int:
    if database.kind == "postgresql":
        return int(database.scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))
    return int(database.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")[0][1])


def _row(database: Database, place: int) -> int:
    finished = f"SELECT id FROM {TASK_RESULT} WHERE status = 'SUCCESS' ORDER BY date_done"
    return int(database.scalar(f"{finished} LIMIT 1 OFFSET {place}"))


def test_a_statement_timeout_makes_batches_smaller(postgresql_database: Database) -> None:
    create_django_celery_results(postgresql_database)
    fill(postgresql_database, TASK_RESULT, [task_results(ROWS, days=10)])
    postgresql_database.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN OLD; END'"
    )
    postgresql_database.execute(
        f"CREATE TRIGGER slow BEFORE DELETE ON {TASK_RESULT} FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    postgresql_database.execute(
        f"ALTER ROLE CURRENT_USER IN DATABASE {postgresql_database.name} SET statement_timeout = 500"
    )
    done = purge(postgresql_database)
    assert (done["deleted"], done["stopped"]) == (ROWS, "drained")
    assert done["batches"] > 4


def test_a_timeout_that_no_batch_can_meet_is_an_error(postgresql_database: Database) -> None:
    create_django_celery_results(postgresql_database)
    fill(postgresql_database, TASK_RESULT, [task_results(100, days=10)])
    postgresql_database.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN OLD; END'"
    )
    postgresql_database.execute(
        f"CREATE TRIGGER slow BEFORE DELETE ON {TASK_RESULT} FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    postgresql_database.execute(
        f"ALTER ROLE CURRENT_USER IN DATABASE {postgresql_database.name} SET statement_timeout = 300"
    )
    with pytest.raises(Exception, match="took too long"):
        purge(postgresql_database)
    assert postgresql_database.count(TASK_RESULT) == 100
