# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A purge that says drained has left no row that matches, whoever else writes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database as Opened
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import DatabaseError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import reflect
from ansible_collections.fleetops.celery.plugins.module_utils._engine.stillness import Stillness
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database
from support.tables import create_django_celery_results, fill
from support.tables.rows import GROUP_RESULT, TASK_RESULT, group_results, task_results

_TOUCH = f"UPDATE {TASK_RESULT} SET status = status WHERE id = 1"


@pytest.fixture
def results(make_database: Callable[..., Database]) -> Database:
    return make_database(create_django_celery_results)


@pytest.fixture
def on_postgresql(postgresql_database: Database) -> Database:
    create_django_celery_results(postgresql_database)
    fill(postgresql_database, TASK_RESULT, [task_results(20, days=10)])
    return postgresql_database


def test_old_rows_that_come_behind_the_walk_go_too(results: Database) -> None:
    fill(results, TASK_RESULT, [task_results(400, days=10)])
    came: list[int] = []

    def watch(pace: Any) -> None:
        if pace.done >= 100 and not came:
            came.append(pace.done)
            fill(results, TASK_RESULT, [task_results(7, days=30)])

    done = purge(results, batch_size=20, watch=watch)
    assert came[0] < 400
    assert (done["deleted"], done["stopped"]) == (407, "drained")
    assert results.count(TASK_RESULT) == 0


def test_rows_that_a_trigger_keeps_are_no_success(
    on_postgresql: Database, fork_module: Callable[..., ModuleRun]
) -> None:
    _keep(on_postgresql, TASK_RESULT, "OLD.id = 4")
    done = fork_module("results_purge", {"database_url": on_postgresql.url})
    assert (done["failed"], done["changed"], on_postgresql.count(TASK_RESULT)) == (True, True, 1)
    assert f"The server keeps 1 record of {TASK_RESULT}" in done["msg"]
    assert "19 rows were deleted and committed" in done["msg"]
    again = fork_module("results_purge", {"database_url": on_postgresql.url})
    assert (again["failed"], again["changed"]) == (True, False)


def test_groups_that_a_trigger_keeps_are_no_success(on_postgresql: Database) -> None:
    fill(on_postgresql, GROUP_RESULT, [group_results(3, days=10)])
    _keep(on_postgresql, GROUP_RESULT, "OLD.id > 1")
    with pytest.raises(DatabaseError, match=f"keeps 2 records of {GROUP_RESULT}"):
        purge(on_postgresql)
    assert on_postgresql.count(TASK_RESULT) == 0


def _keep(database: Database, table: str, condition: str) -> None:
    database.execute("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    database.execute(
        f"CREATE TRIGGER keep BEFORE DELETE ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION keep()"
    )


def test_stillness_is_broken_by_any_write_and_by_nothing_else(on_postgresql: Database) -> None:
    with Opened(on_postgresql.url) as database:
        table = reflect(database, TASK_RESULT)
        still = Stillness(database, table)
        on_postgresql.count(TASK_RESULT)
        assert still.unbroken(own=0)
        with database.transaction() as connection:
            connection.execute(sa.text(_TOUCH))
        assert not still.unbroken(own=0)
        assert still.unbroken(own=1)
        on_postgresql.execute(_TOUCH)
        assert not still.unbroken(own=1)


def test_a_transaction_that_had_already_written_breaks_stillness(on_postgresql: Database) -> None:
    engine = on_postgresql.engine()
    with Opened(on_postgresql.url) as database, engine.connect() as connection, connection.begin():
        connection.execute(sa.text(_TOUCH))
        # It is the last to have taken a number, so nothing shows it yet.
        with database.transaction() as own:
            own.execute(sa.text("CREATE TABLE other ()"))
        still = Stillness(database, reflect(database, TASK_RESULT))
        assert not still.unbroken(own=0)
        connection.commit()
        assert not still.unbroken(own=1)
    engine.dispose()
