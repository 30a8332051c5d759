# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewriting a table of MariaDB of which most goes: by a copy that takes its name."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.archives import end_sessions
from support.engine import by_rule, purge, purge_behind_a_reader
from support.running.collection import clean_environment, link_checkout
from support.servers import Database
from support.tables import create_django_celery_results, fill
from support.tables.rows import TASK_RESULT, task_results
from support.waiting import wait_until

OLD, YOUNG = 50_000, 5_000
EVERYTHING = [{"all": True}]
COPIES = (f"{TASK_RESULT}_fleetops_new", f"{TASK_RESULT}_fleetops_old")


@pytest.fixture
def results(mariadb_database: Database) -> Database:
    create_django_celery_results(mariadb_database)
    fill(
        mariadb_database,
        TASK_RESULT,
        [task_results(OLD, days=10), task_results(YOUNG, days=1), task_results(7, "REVOKED", days=1)],
    )
    mariadb_database.execute(f"ANALYZE TABLE {TASK_RESULT}")
    return mariadb_database


def _identity(database: Database) -> str:
    """The table's definition, with its indexes and the number that the next row gets."""
    return str(database.execute(f"SHOW CREATE TABLE {TASK_RESULT}")[0][1])


def _young(database: Database) -> list[tuple[Any, ...]]:
    return database.execute(
        f"SELECT * FROM {TASK_RESULT} WHERE date_done > now() - INTERVAL 5 DAY AND status <> 'REVOKED' ORDER BY id"
    )


def _tables(database: Database) -> list[str]:
    return [row[0] for row in database.execute("SHOW TABLES LIKE '%fleetops%'")]


@contextmanager
def _reading(database: Database) -> Iterator[None]:
    engine = database.engine()
    with engine.connect() as reader, reader.begin():
        reader.execute(sa.text(f"SELECT count(*) FROM {TASK_RESULT}"))
        yield
    engine.dispose()


def test_a_table_of_which_most_goes_is_rewritten_and_stays_itself(results: Database) -> None:
    results.execute(f"CREATE VIEW seen AS SELECT id FROM {TASK_RESULT}")
    results.execute(f"CREATE INDEX `odd % : index` ON {TASK_RESULT} (worker)")
    results.execute(f"ALTER TABLE {TASK_RESULT} ADD COLUMN `a % : b` INT AS (length(status)) STORED")
    # What an INSERT of other sessions would number anew.
    results.execute(f"SET STATEMENT sql_mode = '' FOR UPDATE {TASK_RESULT} SET id = 0 WHERE id = {OLD + 1}")
    identity, staying = _identity(results), _young(results)
    planned = purge(results, exclusive_lock=30, check=True)
    assert (planned["strategy"], planned["strategy_reason"], _tables(results)) == ("rewrite", None, [])
    done = purge(results, exclusive_lock=30)
    assert (done["strategy"], done["strategy_reason"], done["stopped"]) == ("rewrite", None, "drained")
    assert by_rule(done) == {"old": (OLD, OLD), "revoked": (7, 7)}
    assert (done["deleted"], done["remaining"], done["batches"], done["notes"]) == (OLD + 7, 0, 1, [])
    assert (_young(results), len(staying)) == (staying, YOUNG)
    assert _identity(results) == identity
    assert results.count("seen") == YOUNG
    assert _tables(results) == []
    fill(results, TASK_RESULT, [task_results(1, days=0)])
    assert results.scalar(f"SELECT max(id) FROM {TASK_RESULT}") >= OLD + YOUNG + 8
    again = purge(results, exclusive_lock=30)
    assert (again["changed"], again["strategy"]) == (False, "batches")


def test_everything_goes_at_once(results: Database) -> None:
    identity = _identity(results)
    done = purge(results, EVERYTHING, confirm=TASK_RESULT)
    assert (done["strategy"], done["deleted"], done["stopped"]) == ("truncate", OLD + YOUNG + 7, "drained")
    assert (results.count(TASK_RESULT), _identity(results), _tables(results)) == (0, identity, [])


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (f"CREATE TABLE pointing (id INT, FOREIGN KEY (id) REFERENCES {TASK_RESULT} (id))", "foreign keys point at it"),
        (f"CREATE TRIGGER kept BEFORE INSERT ON {TASK_RESULT} FOR EACH ROW SET NEW.worker = 'x'", "it has triggers"),
        (
            f"ALTER TABLE {TASK_RESULT} ADD kind INT, ADD FOREIGN KEY (kind) REFERENCES django_content_type (id)",
            "a copy would lack",
        ),
        (f"ALTER TABLE {TASK_RESULT} ADD SYSTEM VERSIONING", "not a plain InnoDB table"),
    ],
)
def test_it_falls_back_to_batches_and_says_why(results: Database, prepare: str, reason: str) -> None:
    results.execute(prepare)
    done = purge(results, exclusive_lock=30)
    assert (done["strategy"], done["deleted"]) == ("batches", OLD + 7)
    assert reason in done["strategy_reason"]
    assert (results.count(TASK_RESULT), _tables(results)) == (YOUNG, [])


def test_others_are_not_locked_out_for_long(results: Database) -> None:
    with _reading(results):
        held = purge(results, exclusive_lock=30, lock_timeout=1)
    assert (held["strategy"], held["strategy_reason"]) == ("batches", "other sessions held the table")
    assert (held["deleted"], _tables(results)) == (OLD + 7, [])


def test_to_wait_for_the_lock_keeps_others_out_as_well(results: Database) -> None:
    with _reading(results):
        done = purge_behind_a_reader(results, TASK_RESULT)
    assert (done["strategy"], done["deleted"], _tables(results)) == ("batches", OLD + 7, [])
    assert "for too long" in done["strategy_reason"]


def test_a_rewrite_that_takes_too_long_changes_nothing_and_batches_do_it(results: Database) -> None:
    done = purge(results, exclusive_lock=0.02)
    assert (done["strategy"], done["deleted"]) == ("batches", OLD + 7)
    assert "for too long" in done["strategy_reason"]
    assert (results.count(TASK_RESULT), _tables(results)) == (YOUNG, [])


def test_no_write_is_lost_beside_it(results: Database) -> None:
    written: list[int] = []
    running = threading.Event()
    running.set()

    def write(number: int) -> None:
        engine = results.engine()
        insert = sa.text(
            f"INSERT INTO {TASK_RESULT} (task_id, status, content_type, content_encoding, date_done, date_created)"
            " VALUES (:id, 'SUCCESS', 'x', 'x', now(), now())"
        )
        while running.is_set():
            with engine.begin() as connection:
                identifier = connection.execute(insert, {"id": f"beside-{number}-{time.monotonic_ns()}"}).lastrowid
            written.append(identifier)
        engine.dispose()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        wait_until(lambda: len(written) > 20)
        done = purge(results, exclusive_lock=30, lock_timeout=30)
        before = len(written)
        wait_until(lambda: len(written) > before + 20)
    finally:
        running.clear()
        for writer in writers:
            writer.join()
    assert (done["strategy"], done["deleted"]) == ("rewrite", OLD + 7)
    found = [row[0] for row in results.execute(f"SELECT id FROM {TASK_RESULT} WHERE task_id LIKE 'beside-%'")]
    assert sorted(found) == sorted(written)


def test_who_loses_the_connection_with_the_last_step_has_done_it(results: Database) -> None:
    dropped: list[str] = []

    def end(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith(f"DROP TABLE {COPIES[1]}"):
            dropped.append(statement)
            if len(dropped) == 2:
                end_sessions(results)

    sa.event.listen(sa.Engine, "before_cursor_execute", end)
    try:
        done = purge(results, exclusive_lock=30)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", end)
    assert (done["strategy"], done["deleted"], done["changed"]) == ("rewrite", OLD + 7, True)
    assert (results.count(TASK_RESULT), _tables(results)) == (YOUNG, [COPIES[1]])
    purge(results, exclusive_lock=30)
    assert _tables(results) == []


_KILLED_BEFORE = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from support.engine import purge
from support.servers import Database

url, moment, times = sys.stdin.read().split("\\n")
left = int(times)

@event.listens_for(Engine, "before_cursor_execute")
def kill(_connection, _cursor, statement, *_rest):
    global left
    left -= statement.startswith(moment)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

purge(Database("mariadb", "", url, None, url, url), exclusive_lock=30)
"""


@pytest.mark.parametrize(
    ("moment", "times", "left", "swapped"),
    [
        (f"CREATE TABLE {COPIES[1]}", 1, COPIES[:1], False),
        ("LOCK TABLES", 1, COPIES, False),
        (f"INSERT INTO {COPIES[0]}", 1, COPIES, False),
        ("COMMIT", 1, COPIES, False),
        ("RENAME TABLE", 1, COPIES, False),
        (f"DROP TABLE {COPIES[1]}", 1, COPIES, False),
        ("UNLOCK TABLES", 1, COPIES[1:], True),
        (f"DROP TABLE {COPIES[1]}", 2, COPIES[1:], True),
    ],
)
def test_a_kill_loses_nothing_and_the_next_run_clears_up(
    results: Database, moment: str, times: int, left: tuple[str, ...], swapped: bool
) -> None:
    staying = _young(results)
    tests = Path(__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_BEFORE],
        input=f"{results.url}\n{moment}\n{times}",
        env=clean_environment({"PYTHONPATH": f"{link_checkout()}:{tests}"}),
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    # The server may notice only now that nobody is there any more.
    wait_until(lambda: _tables(results) == list(left))
    assert _young(results) == staying
    assert results.count(TASK_RESULT) == (YOUNG if swapped else OLD + YOUNG + 7)
    done = purge(results, exclusive_lock=30, lock_timeout=30)
    assert done["notes"] == [f"Dropped {' and '.join(left)}, which a run that was killed had left."]
    assert (done["stopped"], done["deleted"], done["changed"]) == ("drained", 0 if swapped else OLD + 7, True)
    assert (_young(results), _tables(results)) == (staying, [])


def test_two_runs_do_not_take_each_others_copies(results: Database) -> None:
    lock = sa.text("SELECT get_lock(concat('fleetops.celery ', database(), :table), 0)")
    engine = results.engine()
    with engine.connect() as other:
        assert other.execute(lock, {"table": f".{TASK_RESULT}"}).scalar() == 1
        results.execute(f"CREATE TABLE {COPIES[0]} (id INT)")
        done = purge(results, exclusive_lock=30)
        assert (done["strategy"], done["strategy_reason"]) == ("batches", "other sessions held the table")
        assert _tables(results) == [COPIES[0]]
    engine.dispose()


def test_who_lacks_a_right_gets_batches(results: Database) -> None:
    account = "'short'@'127.0.0.1'"
    results.administer(
        f"CREATE USER {account} IDENTIFIED BY 'short'",
        f"GRANT SELECT, DELETE, LOCK TABLES ON {results.name}.* TO {account}",
    )
    url = sa.engine.make_url(results.url).set(username="short", password="short")
    try:
        done = purge(results, exclusive_lock=30, url=url.render_as_string(hide_password=False))
    finally:
        results.administer(f"DROP USER {account}")
    assert (done["strategy"], done["deleted"]) == ("batches", OLD + 7)
    assert "lacks one of the rights" in done["strategy_reason"]
