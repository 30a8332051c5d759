# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A purge beside other sessions: it waits for none of them long, and takes nothing from them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import provide
from sqlalchemy.exc import OperationalError
from support.engine import purge
from support.servers import Database, MariaDB
from support.statements import at_each
from support.tables import create_celery_tables, create_django_celery_results, create_task_logs, fill
from support.tables.rows import TASK_RESULT, task_log_rows, task_metas, task_results


@pytest.fixture
def results(make_database: Callable[..., Database]) -> Database:
    return make_database(create_django_celery_results)


@contextlib.contextmanager
def _holding(database: Database, statement: str) -> Iterator[list[Any]]:
    """Another session whose transaction stays open, and holds what the statement locks or sees."""
    engine = database.engine()
    with engine.connect() as connection, connection.begin():
        if database.kind == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        result = connection.execute(sa.text(statement))
        yield list(result) if result.returns_rows else []
    engine.dispose()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_locked_row_is_gone_around_and_taken_next_time(request: pytest.FixtureRequest, kind: str) -> None:
    database: Database = request.getfixturevalue(f"{kind}_database")
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(200, days=10)])
    with _holding(database, f"SELECT id FROM {TASK_RESULT} WHERE id IN (7, 120) FOR UPDATE"):
        done = purge(database, batch_size=150)
        assert (done["deleted"], done["stopped"], done["remaining"]) == (198, "gate", 2)
        assert (done["matched"], done["duration_seconds"] < 30) == (200, True)
        assert "locks" in done["stopped_reason"]
    done = purge(database)
    assert (done["deleted"], done["stopped"]) == (2, "drained")


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_who_does_not_want_to_wait_does_not_wait_for_ever(request: pytest.FixtureRequest, kind: str) -> None:
    database: Database = request.getfixturevalue(f"{kind}_database")
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(20, days=10)])
    done: list[dict[str, Any]] = []
    running = threading.Thread(target=lambda: done.append(purge(database, lock_timeout=0)))
    with _holding(database, f"SELECT id FROM {TASK_RESULT} WHERE id = 7 FOR UPDATE"):
        running.start()
        running.join(20)
        assert not running.is_alive()
    assert (done[0]["deleted"], done[0]["stopped"]) == (19, "gate")


@contextlib.contextmanager
def _locking_the_table(database: Database) -> Iterator[None]:
    """Another session that holds the whole table, as a migration does."""
    lock = {
        "postgresql": f"LOCK TABLE {TASK_RESULT} IN EXCLUSIVE MODE",
        "mariadb": f"LOCK TABLES {TASK_RESULT} READ",
        "sqlite": f"UPDATE {TASK_RESULT} SET status = status",
    }[database.kind]
    with _holding(database, lock):
        yield


def test_a_table_that_others_hold_ends_the_run_soon(results: Database) -> None:
    fill(results, TASK_RESULT, [task_results(3_000, days=10)])
    with _locking_the_table(results):
        done = purge(results, batch_size=50)
        assert (done["deleted"], done["stopped"], done["remaining"]) == (0, "gate", 3_000)
        assert "other sessions hold the table" in done["stopped_reason"]
        assert done["duration_seconds"] < 15  # sixty batches would each have waited
    assert purge(results)["deleted"] == 3_000


def test_a_writer_on_sqlite_is_waited_for(sqlite_database: Database) -> None:
    create_django_celery_results(sqlite_database)
    fill(sqlite_database, TASK_RESULT, [task_results(20, days=10)])
    with _holding(sqlite_database, f"UPDATE {TASK_RESULT} SET status = status"):
        done = purge(sqlite_database)
        assert (done["deleted"], done["stopped"], done["remaining"]) == (0, "gate", 20)
    assert purge(sqlite_database)["deleted"] == 20


def test_a_locked_child_keeps_its_record(postgresql_database: Database) -> None:
    create_task_logs(postgresql_database)
    fill(postgresql_database, "task_logs", [task_log_rows(5)])
    postgresql_database.execute("INSERT INTO task_results (task_id, status) SELECT id, status FROM task_logs")
    with _holding(postgresql_database, "SELECT id FROM task_results WHERE task_id = 3 FOR UPDATE"):
        done = purge(postgresql_database, profile="task_logs", batch_size=1)
        assert (done["deleted"], done["stopped"], done["remaining"]) == (4, "gate", 1)
        assert postgresql_database.execute("SELECT task_id FROM task_results") == [(3,)]
    purge(postgresql_database, profile="task_logs")
    assert [postgresql_database.count(table) for table in ("task_logs", "task_results")] == [0, 0]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_batch_holds_neither_rows_that_it_leaves_nor_gaps(request: pytest.FixtureRequest, kind: str) -> None:
    """Workers end tasks and begin others meanwhile."""
    database: Database = request.getfixturevalue(f"{kind}_database")
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(200, days=10), task_results(1, "STARTED", days=10)])

    deletion = f"DELETE FROM {TASK_RESULT}"

    def work(number: int) -> None:
        if number > 1:
            return  # it had to wait, which is told below
        assert _write_again(database, 201)
        fill(database, TASK_RESULT, [task_results(1, days=0)])

    with at_each(deletion, work) as said:  # what it has deleted is not committed yet
        done = purge(database)
    assert sum(deletion in text for text in said) == 1
    assert (done["deleted"], done["stopped"], database.count(TASK_RESULT)) == (200, "drained", 2)


def test_a_server_that_logs_statements_lets_rows_go() -> None:
    """It refuses every change in READ COMMITTED."""
    with provide(lambda: MariaDB(("--log-bin",))) as server:
        database = server.new_database()
        create_celery_tables(database)
        fill(database, "celery_taskmeta", [task_metas(200, days=10), task_metas(20, days=1)], clock="celery")
        database.administer("SET GLOBAL binlog_format = 'STATEMENT'")
        done = purge(database, [{"older_than": "5d"}], profile="celery_database")
        assert (done["deleted"], database.count("celery_taskmeta")) == (200, 20)


def test_a_session_with_an_old_snapshot_holds_nothing_up(results: Database) -> None:
    fill(results, TASK_RESULT, [task_results(300, days=10)])
    if results.kind == "sqlite":
        results.execute("PRAGMA journal_mode = WAL")
    engine = results.engine()
    with engine.connect() as connection:
        if results.kind == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        count = sa.text(f"SELECT count(*) FROM {TASK_RESULT}")
        assert connection.execute(count).scalar() == 300
        done = purge(results, batch_size=50)
        assert (done["deleted"], done["stopped"], done["duration_seconds"] < 20) == (300, "drained", True)
        # The other session sees what it saw.
        assert connection.execute(count).scalar() == 300
        connection.rollback()
    engine.dispose()


def test_what_others_add_or_finish_meanwhile_survives(results: Database) -> None:
    rows = [task_results(1000, days=10), task_results(100, "STARTED", days=10)]
    fill(results, TASK_RESULT, rows)
    outcome: list[dict[str, Any]] = []

    def run() -> None:
        outcome.append(purge(results, batch_size=50, pause=0.03, lock_timeout=5))

    running = threading.Thread(target=run)
    running.start()
    survivors, added = set(), 0
    # The tail first, which the walk reaches last.
    for identifier in range(1100, 0, -10):
        with contextlib.suppress(OperationalError):
            if _write_again(results, identifier):
                survivors.add(identifier)
            if running.is_alive():
                fill(results, TASK_RESULT, [task_results(1, days=0)])
                added += 1
    running.join()
    left = {identifier for (identifier,) in results.execute(f"SELECT id FROM {TASK_RESULT}")}
    assert survivors <= left
    assert survivors
    assert added
    started = set(range(1001, 1101))
    assert len(left) == len(survivors | started) + added
    assert outcome[0]["deleted"] == 1000 - len(survivors - started)
    assert outcome[0]["stopped"] == "drained"


def _write_again(database: Database, identifier: int) -> bool:
    """As a worker that runs the task once more: its row becomes young; False if it had gone already."""
    now = {"postgresql": "timezone('UTC', now())", "mariadb": "utc_timestamp()", "sqlite": "datetime('now')"}
    with database.begin() as connection:
        updated = connection.execute(
            sa.text(f"UPDATE {TASK_RESULT} SET status = 'SUCCESS', date_done = {now[database.kind]} WHERE id = :id"),
            {"id": identifier},
        )
        return updated.rowcount == 1
