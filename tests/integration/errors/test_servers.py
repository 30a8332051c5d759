# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that are away, refuse, or go away amid the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from support.running import ModuleRun
from support.servers import Database, PostgreSQL
from support.servers.processes import free_port
from support.tables import Ago, Rows, bloat, create_processing_tasks, dump, fill, fill_processing_tasks
from support.waiting import wait_until

RunModule = Callable[..., ModuleRun]
Arguments = dict[str, Any]

DAY = 86_400.0
EVERY_MODULE = ("results_index", "results_info", "results_purge", "zombie_fail", "results_vacuum")
TASKS: Arguments = {"profile": "processing_tasks"}
ADVICE = "Check that the server runs, and host, port, database, user and password."


def _records(database: Database) -> None:
    create_processing_tasks(database)
    task = {"task_type": "DOWNLOAD", "created_at": Ago(40 * DAY), "started_at": Ago(40 * DAY)}
    fill(database, "processing_tasks", [Rows(50, {**task, "status": status}) for status in ("SUCCESS", "RUNNING")])


def _tasks(database: Database) -> None:
    create_processing_tasks(database)
    fill_processing_tasks(database)


def _failed(run: ModuleRun, *words: str) -> str:
    assert run.get("failed") is True, run
    message: str = run["msg"]
    for word in words:
        assert word in message
    assert "Traceback" not in run.output
    assert "exception" not in run
    assert len(message) < 600
    return message


def _url(of: Database, **parts: Any) -> str:
    return sa.make_url(of.url).set(**parts).render_as_string(hide_password=False).replace("+", "%2B")


@pytest.mark.parametrize("module", EVERY_MODULE)
def test_a_server_that_cannot_be_used_says_why(role_database: Database, fork_module: RunModule, module: str) -> None:
    away = free_port()
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"port": away}, [f"at 127.0.0.1:{away}", "refused", ADVICE]),
        ({"host": "no-such-host.invalid"}, ["at no-such-host.invalid", ADVICE]),
        ({"password": "wrong"}, [ADVICE]),
        ({"username": "nobody"}, [ADVICE]),
        ({"database": "fleet_no_such"}, ["database fleet_no_such", ADVICE]),
    ]
    for parts, words in cases:
        run = fork_module(module, {**TASKS, "database_url": _url(role_database, **parts)})
        message = _failed(run, "Cannot open", *words)
        assert run["changed"] is False
        assert message.count("127.0.0.1") <= 3


def test_a_broken_deployment_is_a_finding(role_database: Database, fork_module: RunModule) -> None:
    found = fork_module("deployment_info", {"database_url": _url(role_database, password="wrong")})
    assert not found.get("failed")
    (finding,) = found["findings"]
    assert (finding["severity"], finding["code"]) == ("error", "database_unreachable")
    assert "Cannot open" in finding["message"]


@pytest.mark.parametrize("check", [False, True], ids=["do", "check"])
@pytest.mark.parametrize("module", ["results_purge", "zombie_fail"])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_user_who_may_only_read_is_told_what_is_missing(
    request: pytest.FixtureRequest, fork_module: RunModule, kind: str, module: str, check: bool
) -> None:
    server = request.getfixturevalue(kind)
    database = server.filled_database(_records, _records)[0]
    before = dump(database)
    run = fork_module(module, {**TASKS, "database_url": database.viewer_url}, check=check)
    if check:
        # A plan needs no right to change anything.
        assert (run["changed"], run["matched"]) == (True, 50)
    else:
        _failed(run, "processing_tasks", "denied", "Grant the user viewer what is missing")
        assert run["changed"] is False
    assert dump(database) == before
    database.drop()


@pytest.mark.parametrize(
    ("kind", "mode"),
    # MariaDB keeps its statistics up to date by itself.
    [
        ("postgresql", "vacuum"),
        ("postgresql", "analyze"),
        ("postgresql", "auto"),
        ("postgresql", "full"),
        ("mariadb", "auto"),
        ("mariadb", "full"),
    ],
)
def test_a_user_who_may_only_read_cannot_reclaim(
    request: pytest.FixtureRequest, fork_module: RunModule, kind: str, mode: str
) -> None:
    database = request.getfixturevalue(kind).filled_database(_tasks, _tasks)[0]
    bloat(database)
    wanted = {**TASKS, "mode": mode, "confirm": "processing_tasks"}
    run = fork_module("results_vacuum", {**wanted, "database_url": database.viewer_url})
    _failed(run, "processing_tasks", "Grant the user viewer what is missing, or use another user.")
    assert run["changed"] is False
    # It was not for want of something to do.
    assert fork_module("results_vacuum", {**wanted, "database_url": database.url})["changed"] is True
    database.drop()


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgreSQL]:
    """A server that may be stopped."""
    from conftest import provide

    with provide(PostgreSQL) as server:
        yield server


def _slowly(database: Database, event: str) -> None:
    """Let each eighth change of a row take a moment, so that a run of many batches can be met amid them."""
    database.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN PERFORM pg_sleep(0.001); RETURN COALESCE(NEW, OLD); END $$"
    )
    database.execute(
        f"CREATE TRIGGER slowly BEFORE {event} ON processing_tasks"
        " FOR EACH ROW WHEN (OLD.id % 8 = 0) EXECUTE FUNCTION wait()"
    )


MANY = 40_000  # several batches


def _many(database: Database) -> None:
    create_processing_tasks(database)
    task = {"task_type": "DOWNLOAD", "created_at": Ago(90 * DAY, 40 * DAY), "started_at": Ago(90 * DAY, 40 * DAY)}
    done = {"status": "SUCCESS", "completed_at": Ago(90 * DAY, 40 * DAY)}
    fill(database, "processing_tasks", [Rows(MANY, {**task, **done}), Rows(MANY, {**task, "status": "RUNNING"})])


LEFT = {
    "results_purge": "SELECT count(*) FROM processing_tasks WHERE status = 'SUCCESS'",
    "zombie_fail": "SELECT count(*) FROM processing_tasks WHERE status = 'RUNNING'",
}
DONE = {"results_purge": "deleted", "zombie_fail": "ended"}


@pytest.fixture
def slow_table(own_server: PostgreSQL) -> Iterator[Database]:
    database = own_server.new_database()
    _many(database)
    _slowly(database, "DELETE OR UPDATE")
    yield database
    database.drop()


def test_a_server_that_stops_midway_has_kept_what_was_done(
    own_server: PostgreSQL, slow_table: Database, run_module: RunModule
) -> None:
    arguments = {**TASKS, "database_url": slow_table.url}
    with ThreadPoolExecutor() as pool:
        running = pool.submit(run_module, "results_purge", arguments)
        wait_until(lambda: slow_table.scalar(LEFT["results_purge"]) < MANY or running.done())
        own_server.halt()
        run = running.result()
    own_server.resume()
    left = slow_table.scalar(LEFT["results_purge"])
    assert 0 < left < MANY
    message = _failed(run, "was lost", "What was committed stays; run the same again to go on.")
    assert f"{MANY - left:,} rows were deleted and committed" in message
    assert run["changed"] is True
    again = run_module("results_purge", arguments)
    assert (again["changed"], again["matched"]) == (True, left)
    assert slow_table.scalar(LEFT["results_purge"]) == 0


@pytest.mark.parametrize("module", ["results_purge", "zombie_fail"])
def test_after_a_restart_of_the_server_it_goes_on(
    own_server: PostgreSQL, slow_table: Database, run_module: RunModule, module: str
) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(run_module, module, {**TASKS, "database_url": slow_table.url})
        wait_until(lambda: slow_table.scalar(LEFT[module]) < MANY or running.done())
        own_server.halt()
        time.sleep(1)
        own_server.resume()
        run = running.result()
    assert (run["matched"], run[DONE[module]]) == (MANY, MANY), run
    assert slow_table.scalar(LEFT[module]) == 0


def test_after_mariadb_kills_its_session_it_goes_on(mariadb_database: Database, run_module: RunModule) -> None:
    _many(mariadb_database)
    arguments = {**TASKS, "database_url": mariadb_database.url, "batch_size": 10_000, "pause": "1s"}
    with ThreadPoolExecutor() as pool:
        running = pool.submit(run_module, "results_purge", arguments)
        wait_until(lambda: mariadb_database.scalar(LEFT["results_purge"]) < MANY or running.done())
        # Away from its own databases nobody works: all sessions of the owner are the module's.
        killed = mariadb_database.execute(
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        )
        for (session,) in killed:
            mariadb_database.execute(f"KILL {session}")
        run = running.result()
    assert killed
    assert (run["matched"], run["deleted"], run["stopped"]) == (MANY, MANY, "drained"), run
    assert mariadb_database.scalar(LEFT["results_purge"]) == 0
