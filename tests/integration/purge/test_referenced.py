# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that foreign keys of an application's own tables point at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError
from support.engine import purge
from support.servers import Database
from support.tables import create_django_celery_results, create_task_logs, dump, fill
from support.tables.rows import TASK_RESULT, task_log_rows, task_results

ROWS, POINTED_AT = 50, (3, 7, 20)


def _pointing(database: Database, action: str = "", index: bool = True) -> None:
    """A table of the application's whose rows point at three results."""
    key = "BIGINT" if database.kind == "postgresql" else "INTEGER"
    database.execute(
        f"CREATE TABLE export (id INTEGER PRIMARY KEY, result_id {key}, "
        f"CONSTRAINT export_result_fk FOREIGN KEY (result_id) REFERENCES {TASK_RESULT} (id) {action})"
    )
    if index:
        database.execute("CREATE INDEX export_result ON export (result_id)")
    for number in POINTED_AT:
        database.execute(f"INSERT INTO export VALUES ({number}, {number})")


@pytest.fixture
def results(make_database: Callable[..., Database]) -> Database:
    database = make_database(create_django_celery_results)
    fill(database, TASK_RESULT, [task_results(ROWS, days=10)])
    return database


@pytest.mark.parametrize("check", [False, True], ids=["do", "check"])
def test_by_default_nothing_is_deleted_and_the_key_is_named(results: Database, check: bool) -> None:
    _pointing(results)
    before = dump(results)
    with pytest.raises(UsageError) as failure:
        purge(results, check=check)
    assert "export (result_id" in str(failure.value)
    assert "set referenced to skip" in str(failure.value)
    if results.kind != "sqlite":
        assert "constraint export_result_fk" in str(failure.value)
    assert dump(results) == before


def test_a_key_onto_rows_that_stay_is_no_hindrance(results: Database) -> None:
    _pointing(results)
    results.execute(f"UPDATE {TASK_RESULT} SET status = 'STARTED' WHERE id IN {POINTED_AT}")
    assert purge(results)["deleted"] == ROWS - len(POINTED_AT)


def test_rows_that_are_pointed_at_can_be_left(results: Database) -> None:
    _pointing(results)
    planned = purge(results, referenced="skip", check=True)
    done = purge(results, referenced="skip")
    for document in (planned, done):
        assert (document["matched"], document["referenced"]) == (ROWS - len(POINTED_AT), len(POINTED_AT))
    assert (done["deleted"], done["stopped"]) == (ROWS - len(POINTED_AT), "drained")
    assert "  3 records kept: rows of other tables point at them" in done["report"]
    assert results.execute(f"SELECT id FROM {TASK_RESULT} ORDER BY id") == [(number,) for number in POINTED_AT]
    again = purge(results, referenced="skip")
    assert (again["changed"], again["deleted"], again["referenced"]) == (False, 0, 3)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_what_cascades_goes_and_is_told(request: pytest.FixtureRequest, kind: str) -> None:
    database: Database = request.getfixturevalue(f"{kind}_database")
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(ROWS, days=10)])
    _pointing(database, "ON DELETE CASCADE")
    done = purge(database)
    assert (done["deleted"], database.count("export")) == (ROWS, 0)
    (note,) = done["notes"]
    assert "export (result_id, constraint export_result_fk)" in note


def test_a_key_without_an_index_is_told_with_what_it_costs(postgresql_database: Database) -> None:
    create_django_celery_results(postgresql_database)
    fill(postgresql_database, TASK_RESULT, [task_results(ROWS, days=10)])
    _pointing(postgresql_database, index=False)
    postgresql_database.execute("ANALYZE export")
    (note,) = purge(postgresql_database, referenced="skip", check=True)["notes"]
    assert "has no index" in note
    assert "whole of export of about 3 rows" in note
    assert "Create an index on export (result_id)" in note


def test_a_key_of_two_columns_in_another_schema(postgresql_database: Database) -> None:
    database = postgresql_database
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(ROWS, days=10)])
    database.execute(f"ALTER TABLE {TASK_RESULT} ADD UNIQUE (id, task_id)")
    database.execute('CREATE SCHEMA "Audit"')
    database.execute(
        f'CREATE TABLE "Audit"."Seen" (no BIGINT, task VARCHAR, FOREIGN KEY (task, no) '
        f"REFERENCES {TASK_RESULT} (task_id, id))"
    )
    database.execute(f'INSERT INTO "Audit"."Seen" SELECT id, task_id FROM {TASK_RESULT} WHERE id = 7')
    with pytest.raises(UsageError, match="Seen"):
        purge(database)
    assert purge(database, referenced="skip")["deleted"] == ROWS - 1
    assert database.execute(f"SELECT id FROM {TASK_RESULT}") == [(7,)]


def test_children_that_the_profile_knows_go_first_unless_told_otherwise(make_database: Callable[..., Database]) -> None:
    database = make_database(create_task_logs)
    fill(database, "task_logs", [task_log_rows(5)])
    database.execute("INSERT INTO task_results (task_id, status) SELECT id, status FROM task_logs WHERE id = 2")
    with pytest.raises(UsageError, match="task_results"):
        purge(database, profile="task_logs", referenced="fail")
    assert purge(database, profile="task_logs", referenced="skip")["deleted"] == 4
    done = purge(database, profile="task_logs")
    assert (done["deleted"], done["related"]) == (1, [{"table": "task_results", "matched": 1, "deleted": 1}])
