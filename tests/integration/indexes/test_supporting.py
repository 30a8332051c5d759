# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The indexes that rules need: made once, beside whoever works with the table, and none where one serves."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from ansible_collections.fleetops.celery.plugins.module_utils._engine.clock import Clock
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database as Opened
from ansible_collections.fleetops.celery.plugins.module_utils._engine.prefixed import prefixed
from ansible_collections.fleetops.celery.plugins.module_utils._engine.profiles import find_profile
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable
from ansible_collections.fleetops.celery.plugins.module_utils._engine.statuses import Statuses
from ansible_collections.fleetops.celery.plugins.module_utils._engine.zombie_selection import select_zombies
from support.running import ModuleRun
from support.servers import Database
from support.tables import (
    Ago,
    Rows,
    UniqueText,
    create_celery_tables,
    create_processing_tasks,
    create_reading_sessions,
    create_task_logs,
    dump,
    fill,
)
from support.tables.rows import task_log_rows

RunModule = Callable[..., ModuleRun]
MakeDatabase = Callable[..., Database]
DAY = 86_400.0


def _indexes(database: Database, table: str) -> dict[str, tuple[str | None, ...]]:
    engine = database.engine()
    found = {index["name"]: tuple(index["column_names"]) for index in sa.inspect(engine).get_indexes(table)}
    engine.dispose()
    return {str(name): columns for name, columns in found.items()}


def _old_celery_tables(database: Database) -> None:
    """As Celery before 5.6.3 made them, and `create_all` never alters a table."""
    create_celery_tables(database)
    for table in ("celery_taskmeta", "celery_tasksetmeta"):
        for name in _indexes(database, table):
            if name.startswith("ix_"):
                database.execute(f"DROP INDEX {name}" + (f" ON {table}" if database.kind == "mariadb" else ""))
    row = {"task_id": UniqueText(), "status": "SUCCESS", "date_done": Ago(40 * DAY)}
    fill(database, "celery_taskmeta", [Rows(100, row)])


def _made(run: ModuleRun) -> dict[str, list[str]]:
    assert not run.get("failed"), run
    return {index["name"]: index["columns"] for index in run["indexes"] if index["created"]}


CELERY = {"ix_celery_taskmeta_date_done": ["date_done"], "ix_celery_tasksetmeta_date_done": ["date_done"]}


def test_indexes_are_made_once(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_old_celery_tables)
    rows, before = dump(database), _indexes(database, "celery_taskmeta")
    arguments = {"database_url": database.url, "profile": "celery_database"}

    plan = fork_module("results_index", arguments, check=True, diff=True)
    assert (plan["changed"], _made(plan)) == (True, CELERY)
    assert plan["report"] == [
        "celery_taskmeta: would make 2 indexes",
        *(f"  - {name} on {name[3:-10]} (date_done)" for name in CELERY),
    ]
    assert _indexes(database, "celery_taskmeta") == before

    done = fork_module("results_index", arguments, diff=True)
    assert (done["changed"], done["indexes"], done["diff"]) == (True, plan["indexes"], plan["diff"])
    lines = [set(done["diff"][when].splitlines()) for when in ("before", "after")]
    assert lines[1] - lines[0] == {line.removeprefix("  - ") for line in plan["report"][1:]}
    assert _indexes(database, "celery_taskmeta")["ix_celery_taskmeta_date_done"] == ("date_done",)
    assert dump(database) == rows

    for check in (True, False):
        again = fork_module("results_index", arguments, check=check)
        assert (again["changed"], _made(again)) == (False, {})
        assert {index["name"] for index in again["indexes"]} == set(CELERY)
        assert again["report"] == ["celery_taskmeta: no index is missing"]


def test_the_doctor_names_the_module_and_is_content_afterwards(
    make_database: MakeDatabase, fork_module: RunModule
) -> None:
    database = make_database(_old_celery_tables)
    look = {"database_url": database.url}
    missing = [one for one in fork_module("deployment_info", look)["findings"] if one["code"] == "index_missing"]
    assert [("fleetops.celery.results_index" in one["fix"]) for one in missing] == [True]
    fork_module("results_index", {**look, "profile": "celery_database"})
    assert fork_module("deployment_info", look)["findings"] == []


@pytest.mark.parametrize(
    ("profile", "create", "made"),
    [
        # It has an index by status, which finds the few unfinished rows.
        (
            "processing_tasks",
            create_processing_tasks,
            {"ix_processing_tasks_completed_at", "ix_processing_tasks_created_at"},
        ),
        (
            "task_logs",
            create_task_logs,
            {
                "ix_task_logs_completed_at",
                "ix_task_logs_created_at",
                "ix_task_logs_started",
                "ix_task_metadata_task_id",
                "ix_task_execution_history_task_id",
                "ix_task_results_task_id",
                "ix_queue_stats_recorded_at",
            },
        ),
        ("reading_sessions", create_reading_sessions, set()),
    ],
)
def test_each_profile_gets_what_its_rules_need(
    make_database: MakeDatabase,
    fork_module: RunModule,
    profile: str,
    create: Callable[[Database], None],
    made: set[str],
) -> None:
    database = make_database(create)
    done = fork_module("results_index", {"database_url": database.url, "profile": profile})
    if database.kind == "mariadb":
        # It makes those of foreign keys by itself.
        made = {name for name in made if not name.endswith("_task_id")}
    assert set(_made(done)) == made
    assert fork_module("results_index", {"database_url": database.url, "profile": profile})["changed"] is False


def test_the_tables_of_django_celery_results_have_them_all(dcr: Database, fork_module: RunModule) -> None:
    done = fork_module("results_index", {"database_url": dcr.url})
    assert (done["changed"], _made(done)) == (False, {})
    assert done["indexes"]


def _sessions(database: Database) -> None:
    """As they are where nobody has thought of an index, with few that are open."""
    create_reading_sessions(database)
    database.execute(
        "DROP INDEX idx_reading_sessions_cleanup" + (" ON reading_sessions" if database.kind == "mariadb" else "")
    )
    row = {"id": UniqueText(), "user_id": "1", "book_id": "2", "duration_minutes": 0, "start_position": 1}
    closed = {**row, "started_at": Ago(90 * DAY, DAY), "ended_at": Ago(DAY), "is_active": False}
    fill(
        database, "reading_sessions", [Rows(5000, closed), Rows(5, {**row, "started_at": Ago(DAY), "is_active": True})]
    )


def test_open_sessions_are_found_by_an_index_of_their_own(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_sessions)
    arguments = {"database_url": database.url, "profile": "reading_sessions"}
    (index,) = fork_module("results_index", arguments)["indexes"]
    partial = database.kind == "postgresql"
    assert (index["name"], index["created"]) == ("ix_reading_sessions_abandoned", True)
    assert index["columns"] == (["started_at"] if partial else ["is_active", "started_at"])
    assert fork_module("results_index", arguments)["changed"] is False
    if partial:
        database.execute("ANALYZE reading_sessions")
        assert database.scalar("SELECT reltuples FROM pg_class WHERE relname = 'ix_reading_sessions_abandoned'") == 5
        # The server uses it for the condition of the rule.
        plan = database.execute(
            "EXPLAIN SELECT id FROM reading_sessions WHERE is_active IN (true) AND started_at < now() - interval '2h'"
        )
        assert "ix_reading_sessions_abandoned" in str(plan)
    ended = fork_module("zombie_fail", arguments)
    assert ended["ended"] == 5


def _used_by_the_rule(database: Database, profile: str) -> bool:
    """Whether the server finds a way by the index `mine` to the rows of the profile's first zombie rule."""
    with Opened(database.url) as opened:
        record = RecordTable(opened, find_profile(profile))
        rule = record.profile.zombie_rules[0]
        selected = select_zombies(record, Clock(opened, record), Statuses(opened, record), rule)
        wanted = sa.select(record.primary_key[0]).where(selected.condition)
        with opened.transaction() as connection:
            connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
            return " mine" in str(list(connection.execute(prefixed(wanted, "EXPLAIN"))))


@pytest.mark.parametrize(
    ("index", "serves"),
    [
        ("(started_at) WHERE is_active", True),
        ("(started_at) WHERE is_active = true", True),
        ("(started_at) WHERE is_active IN (true)", True),
        # As it is advised for the task that closes sessions.
        ("(is_active, started_at) WHERE is_active = true AND ended_at IS NULL", True),
        ("(started_at) WHERE ended_at IS NULL", True),
        ("(is_active) WHERE is_active", True),
        ("(is_active, started_at)", True),
        ("(ended_at)", True),
        ("(started_at) WHERE NOT is_active", False),
        ("(started_at) WHERE NOT (is_active AND ended_at IS NULL)", False),
        ("(started_at) WHERE user_id = '1' OR end_position = 2", False),
        ("(started_at) WHERE is_active AND duration_minutes = 0", False),
        ("(started_at) WHERE end_position IS NULL", False),
        ("(started_at) WHERE ended_at IS NOT NULL", False),
        ("(user_id)", False),
    ],
)
def test_an_index_of_sessions_serves_where_the_server_can_use_it(
    postgresql_database: Database, fork_module: RunModule, index: str, serves: bool
) -> None:
    _sessions(postgresql_database)
    postgresql_database.execute(f"CREATE INDEX mine ON reading_sessions {index}")
    arguments = {"database_url": postgresql_database.url, "profile": "reading_sessions"}
    assert fork_module("results_index", arguments, check=True)["changed"] is not serves
    assert _used_by_the_rule(postgresql_database, "reading_sessions") is serves


@pytest.mark.parametrize(
    ("predicate", "serves"),
    [
        ("status = 'STARTED'", True),
        ("status IN ('STARTED', 'RETRY')", True),
        ("status IN ('PENDING', 'RETRY')", False),
        ("status <> 'STARTED'", False),
        ("lower(status) = 'STARTED'", False),
        ("status = 'STARTED' AND task_name = 'x'", False),
    ],
)
def test_a_partial_index_by_a_text_serves_where_the_server_can_use_it(
    postgresql_database: Database, fork_module: RunModule, predicate: str, serves: bool
) -> None:
    create_task_logs(postgresql_database)
    fill(postgresql_database, "task_logs", [task_log_rows(3, "STARTED")])
    postgresql_database.execute(f"CREATE INDEX mine ON task_logs (started_at) WHERE {predicate}")
    done = fork_module("results_index", {"database_url": postgresql_database.url, "profile": "task_logs"}, check=True)
    assert ("ix_task_logs_started" in _made(done)) is not serves
    postgresql_database.execute("DROP INDEX IF EXISTS ix_task_logs_status")
    assert _used_by_the_rule(postgresql_database, "task_logs") is serves


@pytest.mark.parametrize("database_server", ["postgresql", "sqlite"], indirect=True)
def test_a_partial_index_is_no_way_to_walk_the_whole_table(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_old_celery_tables)
    database.execute("CREATE INDEX mine ON celery_taskmeta (date_done) WHERE status = 'FAILURE'")
    arguments = {"database_url": database.url, "profile": "celery_database"}
    found = [one["code"] for one in fork_module("deployment_info", {"database_url": database.url})["findings"]]
    assert "index_missing" in found
    assert "ix_celery_taskmeta_date_done" in _made(fork_module("results_index", arguments))


def test_an_index_in_a_schema_of_its_own(postgresql_database: Database, fork_module: RunModule) -> None:
    _old_celery_tables(postgresql_database)
    postgresql_database.execute('CREATE SCHEMA "of % mine"')
    postgresql_database.execute('ALTER TABLE celery_taskmeta SET SCHEMA "of % mine"')
    arguments = {
        "database_url": postgresql_database.url,
        "profile": "celery_database",
        "table": "of % mine.celery_taskmeta",
    }
    assert _made(fork_module("results_index", arguments)) == {"ix_celery_taskmeta_date_done": ["date_done"]}
    assert fork_module("results_index", arguments)["changed"] is False


def test_a_long_name_is_cut(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_old_celery_tables)
    table = "celery_taskmeta_of_the_department_of_redundancy_department"
    database.execute(f"ALTER TABLE celery_taskmeta RENAME TO {table}")
    arguments = {"database_url": database.url, "profile": "celery_database", "table": table}
    (name,) = _made(fork_module("results_index", arguments))
    assert len(name) == 63
    assert fork_module("results_index", arguments)["changed"] is False


def test_a_namesake_that_does_not_serve_is_left(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_old_celery_tables)
    database.execute("CREATE INDEX ix_celery_taskmeta_date_done ON celery_taskmeta (status)")
    before = _indexes(database, "celery_taskmeta")
    refused = fork_module("results_index", {"database_url": database.url, "profile": "celery_database"})
    assert (refused["failed"], refused["changed"]) == (True, False)
    assert "ix_celery_taskmeta_date_done on other columns" in refused["msg"]
    assert _indexes(database, "celery_taskmeta") == before
    assert "ix_celery_tasksetmeta_date_done" not in _indexes(database, "celery_tasksetmeta")


def test_what_a_failed_build_left_is_replaced(postgresql_database: Database, fork_module: RunModule) -> None:
    _old_celery_tables(postgresql_database)
    engine = postgresql_database.engine(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # Two rows have the same date, so it fails at its end.
        postgresql_database.execute("UPDATE celery_taskmeta SET date_done = '2026-01-01'")
        with pytest.raises(sa.exc.IntegrityError):
            connection.exec_driver_sql(
                "CREATE UNIQUE INDEX CONCURRENTLY ix_celery_taskmeta_date_done ON celery_taskmeta (date_done)"
            )
    engine.dispose()
    valid = "SELECT indisvalid, indisunique FROM pg_index WHERE indexrelid = 'ix_celery_taskmeta_date_done'::regclass"
    valid = valid.replace("::", "\\:\\:")
    assert postgresql_database.execute(valid) == [(False, True)]
    arguments = {"database_url": postgresql_database.url, "profile": "celery_database"}
    plan = fork_module("results_index", arguments, check=True)
    assert _made(plan) == CELERY
    assert postgresql_database.execute(valid) == [(False, True)]
    assert fork_module("results_index", arguments)["indexes"] == plan["indexes"]
    assert postgresql_database.execute(valid) == [(True, False)]
    assert fork_module("results_index", arguments)["changed"] is False


def test_a_build_that_has_to_wait_too_long_can_be_made_again(
    postgresql_database: Database, fork_module: RunModule
) -> None:
    _old_celery_tables(postgresql_database)
    arguments = {"database_url": postgresql_database.url, "profile": "celery_database", "lock_timeout": "1s"}
    engine = postgresql_database.engine()
    with engine.connect() as writer:
        writer.execute(sa.text("UPDATE celery_taskmeta SET status = 'FAILURE' WHERE id = 1"))
        refused = fork_module("results_index", arguments)
        # Who keeps it from being built keeps it from being dropped too.
        assert (refused["failed"], refused["changed"]) == (True, True)
        assert "Another session holds a lock" in refused["msg"]
        assert "ix_celery_taskmeta_date_done is left unfinished; the next run drops it." in refused["msg"]
        # What serves nobody is no way to walk either.
        found = fork_module("deployment_info", {"database_url": postgresql_database.url})["findings"]
        assert "index_missing" in [one["code"] for one in found]
        writer.rollback()
    engine.dispose()
    assert _made(fork_module("results_index", arguments)) == CELERY
    assert fork_module("results_index", arguments)["changed"] is False


def test_writers_go_on_meanwhile(postgresql_database: Database, run_module: RunModule) -> None:
    """The build waits for an old transaction, and keeps nobody from the table meanwhile."""
    _old_celery_tables(postgresql_database)
    arguments = {"database_url": postgresql_database.url, "profile": "celery_database", "lock_timeout": "60s"}
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'"
    engine = postgresql_database.engine()
    with ThreadPoolExecutor() as pool, engine.connect() as old, engine.connect() as writer:
        old.execute(sa.text("UPDATE celery_taskmeta SET status = 'FAILURE' WHERE id = 1"))
        building = pool.submit(run_module, "results_index", arguments)
        deadline = time.monotonic() + 30
        while postgresql_database.scalar(waiting) != 1:
            assert not building.done(), building.result()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        writer.execute(sa.text("SET lock_timeout = '2s'"))
        writer.execute(sa.text("UPDATE celery_taskmeta SET status = 'FAILURE' WHERE id = 2"))
        writer.commit()
        old.rollback()
        assert _made(building.result()) == CELERY
    engine.dispose()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_user_who_may_only_read_makes_none(request: pytest.FixtureRequest, fork_module: RunModule, kind: str) -> None:
    database = request.getfixturevalue(kind).filled_database(_old_celery_tables, _old_celery_tables)[0]
    arguments = {"database_url": database.viewer_url, "profile": "celery_database"}
    assert _made(fork_module("results_index", arguments, check=True)) == CELERY
    refused: dict[str, Any] = fork_module("results_index", arguments)
    assert (refused["failed"], refused["changed"]) == (True, False)
    assert "Grant the user viewer what is missing, or use another user." in refused["msg"]
    assert "ix_celery_taskmeta_date_done" not in _indexes(database, "celery_taskmeta")
    database.drop()
