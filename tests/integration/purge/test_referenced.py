# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that foreign keys of an application's own tables point at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError
from support.engine import purge
from support.servers import Database
from support.tables import Ago, Rows, create_django_celery_results, create_task_logs, dump, fill
from support.tables.rows import (
    CHORD_COUNTER,
    DAY,
    GROUP_RESULT,
    TASK_RESULT,
    group_results,
    task_log_rows,
    task_results,
)

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


def test_a_key_is_found_whatever_the_table_is_called(results: Database) -> None:
    _pointing(results)
    mark = "`" if results.kind == "mariadb" else '"'
    results.execute(f"ALTER TABLE {TASK_RESULT} RENAME TO {mark}odd % results{mark}")
    with pytest.raises(UsageError, match=r"export \(result_id"):
        purge(results, table="odd % results")


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


def test_a_child_that_points_by_another_column_is_not_the_profiles(make_database: Callable[..., Database]) -> None:
    def create(database: Database) -> None:
        create_task_logs(database)
        database.execute("DROP TABLE task_results")
        database.execute(
            "CREATE TABLE task_results (id INTEGER PRIMARY KEY, task_id INTEGER, retry_of INTEGER, "
            "FOREIGN KEY (task_id) REFERENCES task_logs (id), FOREIGN KEY (retry_of) REFERENCES task_logs (id))"
        )

    database = make_database(create)
    fill(database, "task_logs", [task_log_rows(5)])
    database.execute("INSERT INTO task_results VALUES (1, 2, NULL)")
    assert purge(database, profile="task_logs", max_rows=2)["deleted"] == 2
    database.execute("INSERT INTO task_results VALUES (1, NULL, 4)")
    with pytest.raises(UsageError, match=r"task_results \(retry_of"):
        purge(database, profile="task_logs")
    assert purge(database, profile="task_logs", referenced="skip")["deleted"] == 2


# Rows of the tables beside the record table.


def _pin(database: Database, table: str, *identifiers: int, action: str = "") -> None:
    """A table of the application's whose rows point at those of *table* with these identifiers."""
    key = "BIGINT" if database.kind == "postgresql" and table.startswith("django") else "INTEGER"
    database.execute(
        f"CREATE TABLE pin (id INTEGER PRIMARY KEY, pinned {key}, "
        f"CONSTRAINT pinned_row FOREIGN KEY (pinned) REFERENCES {table} (id) {action})"
    )
    database.execute("CREATE INDEX pin_pinned ON pin (pinned)")
    for number in identifiers:
        database.execute(f"INSERT INTO pin VALUES ({number}, {number})")


def _refuses(database: Database, table: str, **options: Any) -> None:
    before = dump(database)
    for check in (True, False):
        with pytest.raises(UsageError, match=rf"pin \(pinned.* point at rows of {table} .*Nothing was deleted") as told:
            purge(database, check=check, **options)
        assert database.kind == "sqlite" or "constraint pinned_row" in str(told.value)
    assert dump(database) == before


@pytest.fixture
def groups(results: Database) -> Database:
    fill(results, GROUP_RESULT, [group_results(6, days=10), group_results(1, days=1)])
    return results


def test_a_key_onto_groups_is_found_before_the_first_batch(groups: Database) -> None:
    _pin(groups, GROUP_RESULT, 2, 5, 7)
    _refuses(groups, GROUP_RESULT)
    plan = purge(groups, referenced="skip", check=True)
    done = purge(groups, referenced="skip")
    for document in (plan, done):
        # The youngest does not go in any case.
        assert (document["matched"], document["referenced"]) == (ROWS, 2)
        assert [(one["table"], one["matched"]) for one in document["related"]] == [(GROUP_RESULT, 4)]
    assert (done["stopped"], done["remaining"]) == ("drained", 0)
    assert groups.execute(f"SELECT id FROM {GROUP_RESULT} ORDER BY id") == [(2,), (5,), (7,)]
    again = purge(groups, referenced="skip")
    assert (again["changed"], again["referenced"]) == (False, 2)


def test_a_key_onto_a_group_that_stays_is_no_hindrance(groups: Database) -> None:
    _pin(groups, GROUP_RESULT, 7)
    done = purge(groups)
    assert (done["deleted"], done["related"][0]["deleted"]) == (ROWS, 6)


def test_a_key_onto_groups_that_cascades_goes_round_no_archive(groups: Database, tmp_path: Path) -> None:
    _pin(groups, GROUP_RESULT, 2, action="ON DELETE CASCADE")
    _refuses(groups, GROUP_RESULT, archive={"path": str(tmp_path)})
    done = purge(groups, archive={"path": str(tmp_path)}, referenced="skip")
    assert (done["archive"]["rows"], groups.count("pin")) == (ROWS + 5, 1)


def test_a_key_onto_the_counter_of_a_chord_keeps_the_chord(results: Database) -> None:
    members = results.execute(f"SELECT task_id FROM {TASK_RESULT} ORDER BY id LIMIT 3")
    for number, (member,) in enumerate(members):
        results.execute(
            f"INSERT INTO {CHORD_COUNTER} (group_id, sub_tasks, count) VALUES (:group, :members, 1)",
            group=f"group {number}",
            members=json.dumps([[[member, None], None]]),
        )
    _pin(results, CHORD_COUNTER, 2)
    _refuses(results, CHORD_COUNTER)
    plan = purge(results, referenced="skip", check=True)
    done = purge(results, referenced="skip")
    for document in (plan, done):
        assert (document["referenced"], document["protected"], document["matched"]) == (1, 1, ROWS - 1)
    assert results.execute(f"SELECT id FROM {CHORD_COUNTER}") == [(2,)]
    assert purge(results, referenced="skip")["changed"] is False
    emptied = purge(results, [{"all": True}], confirm=TASK_RESULT, referenced="skip")
    assert (emptied["deleted"], emptied["referenced"], results.count(CHORD_COUNTER)) == (1, 1, 1)


@pytest.fixture
def logs(make_database: Callable[..., Database]) -> Database:
    """Records with a child each, one of the two kinds without a foreign key."""

    def create(database: Database) -> None:
        create_task_logs(database)
        database.execute("DROP TABLE task_results")
        database.execute("CREATE TABLE task_results (id INTEGER PRIMARY KEY, task_id INTEGER)")

    database = make_database(create)
    fill(database, "task_logs", [task_log_rows(5)])
    database.execute("INSERT INTO task_results SELECT id, id FROM task_logs")
    return database


@pytest.mark.parametrize("action", ["", "ON DELETE CASCADE"])
def test_a_key_onto_a_child_keeps_the_record(logs: Database, tmp_path: Path, action: str) -> None:
    _pin(logs, "task_results", 3, action=action)
    archive = {"path": str(tmp_path)} if action else None
    _refuses(logs, "task_results", profile="task_logs", archive=archive)
    plan = purge(logs, profile="task_logs", referenced="skip", archive=archive, check=True)
    done = purge(logs, profile="task_logs", referenced="skip", archive=archive)
    for document in (plan, done):
        assert (document["matched"], document["referenced"]) == (4, 1)
        assert [(one["table"], one["matched"]) for one in document["related"]] == [("task_results", 4)]
    assert [logs.execute(f"SELECT id FROM {table}") for table in ("task_logs", "task_results", "pin")] == [[(3,)]] * 3
    assert purge(logs, profile="task_logs", referenced="skip", archive=archive)["changed"] is False


def test_a_key_onto_queue_statistics_is_found(logs: Database) -> None:
    fill(logs, "queue_stats", [Rows(4, {"queue_name": "q", "message_count": 1, "recorded_at": Ago(40 * DAY)})])
    _pin(logs, "queue_stats", 1)
    _refuses(logs, "queue_stats", profile="task_logs")
    assert purge(logs, profile="task_logs", referenced="skip")["related"][-1]["deleted"] == 3


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_key_onto_groups_without_an_index_is_told(request: pytest.FixtureRequest, kind: str) -> None:
    database: Database = request.getfixturevalue(f"{kind}_database")
    create_django_celery_results(database)
    _pin(database, GROUP_RESULT, action="ON DELETE SET NULL")
    if database.kind == "postgresql":
        database.execute("DROP INDEX pin_pinned")
    notes = purge(database, check=True)["notes"]
    assert f"at a deleted row of {GROUP_RESULT}" in notes[0]
    if database.kind == "postgresql":  # MariaDB makes one itself
        assert f"for each row of {GROUP_RESULT} that is deleted" in notes[1]


def test_keys_of_sqlite_may_leave_their_target_to_the_primary_key(sqlite_database: Database) -> None:
    create_django_celery_results(sqlite_database)
    fill(sqlite_database, TASK_RESULT, [task_results(ROWS, days=10)])
    fill(sqlite_database, GROUP_RESULT, [group_results(6, days=10)])
    sqlite_database.execute(f"CREATE TABLE seen (result INTEGER REFERENCES {TASK_RESULT.upper()} (ID))")
    sqlite_database.execute(f'CREATE TABLE pin (id INTEGER PRIMARY KEY, pinned INTEGER REFERENCES "{GROUP_RESULT}")')
    sqlite_database.execute("INSERT INTO seen VALUES (1)")
    sqlite_database.execute("INSERT INTO pin VALUES (1, 2)")
    with pytest.raises(UsageError, match="seen"):
        purge(sqlite_database)
    assert purge(sqlite_database, referenced="skip")["referenced"] == 2
