# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zombies in applications' own tables: tasks that time out, workers that fall silent, sessions left open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from support.running import ModuleRun
from support.servers import Database
from support.tables import (
    Ago,
    Rows,
    create_processing_tasks,
    create_reading_sessions,
    create_task_logs,
    dump,
    fill,
)
from support.tables.documents import READING_SESSIONS, reading_sessions

RunModule = Callable[..., ModuleRun]
MakeDatabase = Callable[..., Database]

HOUR, DAY = 3_600.0, 86_400.0
TASKS = {"profile": "processing_tasks"}


def _timeouts(database: Database) -> None:
    """Each case of the two timeouts, by the name of its task's id."""
    create_processing_tasks(database)
    cases = {
        "running": {"status": "RUNNING", "created_at": Ago(30 * HOUR), "started_at": Ago(25 * HOUR)},
        "running-unstarted": {"status": "RUNNING", "created_at": Ago(25 * HOUR)},
        "running-young": {"status": "RUNNING", "created_at": Ago(30 * HOUR), "started_at": Ago(23 * HOUR)},
        "running-unstarted-young": {"status": "RUNNING", "created_at": Ago(23 * HOUR)},
        "pending": {"status": "PENDING", "created_at": Ago(3 * HOUR)},
        "pending-young": {"status": "PENDING", "created_at": Ago(1.9 * HOUR)},
        # Created is what counts for one that waits.
        "pending-started": {"status": "PENDING", "created_at": Ago(1 * HOUR), "started_at": Ago(30 * HOUR)},
        "success": {"status": "SUCCESS", "created_at": Ago(30 * DAY), "started_at": Ago(30 * DAY)},
        "retry": {"status": "RETRY", "created_at": Ago(30 * DAY), "started_at": Ago(30 * DAY)},
    }
    rows = [Rows(1, {"celery_task_id": name, "task_type": "DOWNLOAD", **case}) for name, case in cases.items()]
    fill(database, "processing_tasks", rows)


def _tasks(database: Database) -> dict[str, tuple[Any, ...]]:
    rows = database.execute("SELECT celery_task_id, status, error_message, completed_at FROM processing_tasks")
    return {row[0]: row[1:] for row in rows}


def test_the_two_timeouts_end_what_they_say_and_nothing_else(
    make_database: MakeDatabase, fork_module: RunModule
) -> None:
    database = make_database(_timeouts)
    before = _tasks(database)
    done = fork_module("zombie_fail", {**TASKS, "database_url": database.url})
    assert [(rule["name"], rule["matched"], rule["ended"]) for rule in done["rules"]] == [
        ("running", 2, 2),
        ("pending", 1, 1),
    ]
    ended = {"running": "RUNNING for more than 24h", "running-unstarted": "RUNNING for more than 24h"}
    ended["pending"] = "PENDING for more than 2h"
    after = _tasks(database)
    for name, row in after.items():
        if name not in ended:
            assert row == before[name]
            continue
        status, reason, completed = row
        assert status == "FAILURE"
        assert reason.startswith(f"{ended[name]}: ")
        moment = datetime.fromisoformat(str(completed))
        assert abs(moment - datetime.now(timezone.utc).replace(tzinfo=None)) < timedelta(minutes=2)
    ages = {row["rule"]: row["age_seconds"] for row in done["rows"]}
    assert ages["pending"] == pytest.approx(3 * HOUR, abs=120)
    assert {row["task"] for row in done["rows"]} == {"DOWNLOAD"}


def test_a_plan_a_run_a_plan_and_a_run_agree(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_timeouts)
    arguments = {**TASKS, "database_url": database.url}
    untouched = dump(database)
    plan = fork_module("zombie_fail", arguments, check=True, diff=True)
    assert dump(database) == untouched
    run = fork_module("zombie_fail", arguments, diff=True)
    assert (plan["changed"], plan["matched"], plan["ended"]) == (True, 3, 0)
    assert (run["changed"], run["matched"], run["ended"]) == (True, 3, 3)
    (planned,), (done,) = plan["diff"], run["diff"]
    assert planned == done
    assert "RUNNING: 4\n" in done["before"]
    assert "RUNNING: 2\n" in done["after"]
    assert "FAILURE: 3\n" in done["after"]
    assert "total: 9\n" in done["after"]
    assert plan["report"][0] == "processing_tasks: would end 3 records whose task is dead"
    assert run["report"] == [
        "processing_tasks: ended 3 records whose task is dead",
        "  - running: 2 records (RUNNING for more than 24h → FAILURE)",
        "  - pending: 1 record (PENDING for more than 2h → FAILURE)",
    ]
    ended = dump(database)
    for check in (True, False):
        again = fork_module("zombie_fail", arguments, check=check, diff=True)
        assert (again["changed"], again["matched"], again["ended"], again["rows"]) == (False, 0, 0, [])
        (diff,) = again["diff"]
        assert diff["before"] == diff["after"] == done["after"]
    assert dump(database) == ended


def _lower_case(database: Database) -> None:
    database.execute(
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, kind VARCHAR(40), state VARCHAR(20), born TIMESTAMP NULL,"
        " begun TIMESTAMP NULL, done TIMESTAMP NULL, note VARCHAR(30))"
        if database.kind != "mariadb"
        else "CREATE TABLE jobs (id INTEGER PRIMARY KEY, kind VARCHAR(40), state VARCHAR(20), born DATETIME,"
        " begun DATETIME, done DATETIME, note VARCHAR(30))"
    )
    rows = [
        {"id": 1, "state": "running", "born": Ago(2 * DAY), "begun": Ago(2 * DAY)},
        {"id": 2, "state": "running", "born": Ago(HOUR), "begun": Ago(HOUR)},
        {"id": 3, "state": "failure", "born": Ago(2 * DAY), "begun": Ago(2 * DAY)},
        {"id": 4, "state": "pending", "born": Ago(2 * DAY)},
    ]
    fill(database, "jobs", [Rows(1, {"kind": "mail", **row}) for row in rows])


def test_statuses_in_lower_case_and_columns_under_other_names(
    make_database: MakeDatabase, fork_module: RunModule
) -> None:
    database = make_database(_lower_case)
    names = {"task_name": "kind", "status": "state", "created": "born", "started": "begun", "finished": "done"}
    arguments = {**TASKS, "table": "jobs", "columns": {**names, "reason": "note"}, "database_url": database.url}
    done = fork_module("zombie_fail", arguments)
    assert (done["matched"], done["ended"]) == (2, 2)
    assert database.execute("SELECT id, state, note FROM jobs ORDER BY id") == [
        # As much of the reason as the column takes, in the spelling of the table.
        (1, "failure", "RUNNING for more than 24h: the worker is"[:30]),
        (2, "running", None),
        (3, "failure", None),
        (4, "failure", "PENDING for more than 2h: the worker is"[:30]),
    ]


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
def test_a_native_enum_takes_only_its_own_statuses(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_timeouts)
    before = dump(database)
    rule = {"statuses": ["RUNNING"], "older_than": "24h", "set_status": "DEAD"}
    refused = fork_module("zombie_fail", {**TASKS, "database_url": database.url, "rules": [rule]})
    assert refused["failed"] is True
    for word in ("set_status cannot be DEAD", "PENDING, RUNNING, SUCCESS, FAILURE, RETRY, REVOKED"):
        assert word in refused["msg"]
    assert dump(database) == before
    revoked = fork_module(
        "zombie_fail", {**TASKS, "database_url": database.url, "rules": [{**rule, "set_status": "revoked"}]}
    )
    assert revoked["ended"] == 2
    assert _tasks(database)["running"][0] == "REVOKED"


def test_a_row_counts_for_the_first_rule_that_selects_it(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_timeouts)
    rules = [
        {"name": "mine", "statuses": ["running"], "older_than": "24h", "reason": "mine"},
        {"name": "rest", "statuses": ["RUNNING", "PENDING"], "since": "created", "older_than": "2h"},
    ]
    plan, run = (
        fork_module("zombie_fail", {**TASKS, "database_url": database.url, "rules": rules}, check=check)
        for check in (True, False)
    )
    assert [rule["matched"] for rule in plan["rules"]] == [rule["ended"] for rule in run["rules"]] == [2, 3]
    assert _tasks(database)["running"][1] == "mine"


# Sessions: (minutes since the start, start, end) and what they become: (minutes, end).
SESSIONS: dict[str, tuple[float, int, int | None, int]] = {
    "no-progress": (121.0, 40, None, 40),
    "two-hours": (120.0 + 1 / 60, 0, None, 0),
    "not-quite-a-minute-more": (180.0 + 55 / 60, 5, 5, 5),
    "progress": (60.0 * 24 * 3 + 7.5, 10, 250, 250),
    "went-back": (200.0, 90, 30, 90),
}


def _sessions(database: Database) -> None:
    create_reading_sessions(database)
    now = datetime.now(timezone.utc)
    shared: dict[str, Any] = {
        "user_id": "u",
        "book_id": "b",
        "duration_minutes": 0,
        "is_active": True,
        "ended_at": None,
    }
    rows = [
        {
            **shared,
            "id": name,
            "started_at": now - timedelta(minutes=minutes),
            "start_position": start,
            "end_position": end,
        }
        for name, (minutes, start, end, _ended) in SESSIONS.items()
    ]
    young = {**rows[0], "id": "young", "started_at": now - timedelta(minutes=115)}
    closed = {**rows[0], "id": "closed", "is_active": False, "ended_at": now - timedelta(hours=9)}
    with database.begin() as connection:
        # SQLite and MariaDB drop the zone.
        connection.execute(sa.insert(READING_SESSIONS.tables["reading_sessions"]), [*rows, young, closed])


def _by_id(database: Database) -> dict[str, Any]:
    with database.begin() as connection:
        return {row["id"]: dict(row) for row in connection.execute(sa.select(reading_sessions)).mappings()}


def test_abandoned_sessions_are_closed_as_their_reader_would_have(
    make_database: MakeDatabase, fork_module: RunModule
) -> None:
    database = make_database(_sessions)
    arguments = {"profile": "reading_sessions", "database_url": database.url}
    before = _by_id(database)
    plan = fork_module("zombie_fail", arguments, check=True)
    assert _by_id(database) == before
    run = fork_module("zombie_fail", arguments)
    assert (plan["matched"], run["ended"]) == (5, 5)
    after = _by_id(database)
    assert (after["young"], after["closed"]) == (before["young"], before["closed"])
    for name, (_minutes, _start, _end, ended_at_position) in SESSIONS.items():
        row = after[name]
        assert row["is_active"] is False
        assert row["end_position"] == ended_at_position
        ended = row["ended_at"].replace(tzinfo=None)
        assert abs(ended - datetime.now(timezone.utc).replace(tzinfo=None)) < timedelta(minutes=2)
        # Exact: whole minutes between the two times as the table keeps them.
        elapsed = row["ended_at"] - row["started_at"]
        assert row["duration_minutes"] == int(elapsed.total_seconds() // 60), name
        assert row["started_at"] == before[name]["started_at"]
    again = fork_module("zombie_fail", arguments)
    assert (again["changed"], again["matched"]) == (False, 0)
    assert _by_id(database) == after


def _workers(database: Database) -> None:
    create_task_logs(database)
    workers = [
        Rows(1, {"worker_name": "silent", "status": "ONLINE", "last_heartbeat": Ago(20 * 60)}),
        Rows(1, {"worker_name": "alive", "status": "ONLINE", "last_heartbeat": Ago(30)}),
        Rows(1, {"worker_name": "gone", "status": "OFFLINE", "last_heartbeat": Ago(DAY)}),
        Rows(1, {"worker_name": "new", "status": "ONLINE", "last_heartbeat": None}),
    ]
    fill(database, "worker_status", workers)
    task = {"task_name": "shop.add", "created_at": Ago(2 * DAY), "status": "STARTED"}
    tasks = [
        Rows(1, {**task, "task_id": "old", "started_at": Ago(2 * DAY)}),
        Rows(1, {**task, "task_id": "older", "started_at": Ago(3 * DAY)}),
        Rows(1, {**task, "task_id": "young", "started_at": Ago(60)}),
    ]
    fill(database, "task_logs", tasks)


def test_workers_without_a_heartbeat_go_offline(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_workers)
    arguments = {"profile": "task_logs", "database_url": database.url}
    plan = fork_module("zombie_fail", arguments, check=True, diff=True)
    run = fork_module("zombie_fail", arguments, diff=True)
    assert plan["diff"] == run["diff"]
    assert [(rule["table"], rule["set_status"], rule["ended"]) for rule in run["rules"]] == [
        ("task_logs", "FAILURE", 2),
        ("worker_status", "OFFLINE", 1),
    ]
    workers = dict(database.execute("SELECT worker_name, status FROM worker_status"))
    assert workers == {"silent": "OFFLINE", "alive": "ONLINE", "gone": "OFFLINE", "new": "ONLINE"}
    assert database.scalar("SELECT status FROM task_logs WHERE task_id = 'young'") == "STARTED"
    assert fork_module("zombie_fail", arguments)["changed"] is False


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
def test_a_task_that_finishes_meanwhile_keeps_its_result(make_database: MakeDatabase, run_module: RunModule) -> None:
    database = make_database(_timeouts)
    finish = sa.text("UPDATE processing_tasks SET status = 'SUCCESS' WHERE celery_task_id = 'running'")
    engine = database.engine()
    with engine.connect() as worker:
        # The worker has written its result and not committed yet, while the module looks for zombies.
        worker.execute(finish)
        commit = threading.Timer(1.5, worker.commit)
        commit.start()
        done = run_module("zombie_fail", {**TASKS, "database_url": database.url})
        commit.join()
    engine.dispose()
    assert (done["matched"], done["ended"]) == (3, 2)
    assert _tasks(database)["running"] == ("SUCCESS", None, None)
    assert _tasks(database)["running-unstarted"][0] == "FAILURE"


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
def test_a_row_that_its_worker_holds_is_left_and_the_others_are_ended(
    make_database: MakeDatabase, run_module: RunModule
) -> None:
    database = make_database(_timeouts)
    engine = database.engine()
    with engine.connect() as worker:
        worker.execute(sa.text("UPDATE processing_tasks SET progress = 0.5 WHERE celery_task_id = 'running'"))
        began = time.monotonic()
        done = run_module("zombie_fail", {**TASKS, "database_url": database.url})
        assert time.monotonic() - began < 30
        worker.rollback()
    engine.dispose()
    assert (done["matched"], done["ended"]) == (3, 2)
    assert _tasks(database)["running"][0] == "RUNNING"
    assert _tasks(database)["running-unstarted"][0] == "FAILURE"


def test_how_long_it_waits_for_a_row_can_be_said(postgresql_database: Database, fork_module: RunModule) -> None:
    _timeouts(postgresql_database)
    arguments = {**TASKS, "database_url": postgresql_database.url}
    engine = postgresql_database.engine()
    with engine.connect() as other, ThreadPoolExecutor() as waiting:
        other.execute(sa.text("SELECT 1 FROM processing_tasks WHERE celery_task_id = 'running' FOR UPDATE"))
        patient = waiting.submit(fork_module, "zombie_fail", {**arguments, "lock_timeout": "1m"})
        time.sleep(4)
        other.rollback()
        done = patient.result()
        assert done["ended"] == done["matched"] == 3
    postgresql_database.execute("UPDATE processing_tasks SET status = 'RUNNING' WHERE celery_task_id = 'running'")
    with engine.connect() as other:
        other.execute(sa.text("SELECT 1 FROM processing_tasks WHERE celery_task_id = 'running' FOR UPDATE"))
        hasty = fork_module("zombie_fail", {**arguments, "lock_timeout": "1s"})
        assert (hasty["matched"], hasty["ended"]) == (1, 0)
    engine.dispose()


def _many_running(database: Database) -> None:
    create_processing_tasks(database)
    running = {"status": "RUNNING", "created_at": Ago(90 * DAY, 2 * DAY), "started_at": Ago(90 * DAY, 2 * DAY)}
    fill(database, "processing_tasks", [Rows(30_000, {"task_type": "DOWNLOAD", **running})])


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
def test_a_table_that_others_hold_is_left_soon(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_many_running)
    args = {"database_url": database.url, **TASKS, "lock_timeout": "1s"}
    lock = {
        "postgresql": "LOCK TABLE processing_tasks IN EXCLUSIVE MODE",
        "mariadb": "LOCK TABLES processing_tasks READ",
    }
    engine = database.engine()
    began = time.monotonic()
    with engine.connect() as other, other.begin():
        other.execute(sa.text(lock[database.kind]))
        done = fork_module("zombie_fail", args)
        assert (done["changed"], done.get("matched"), done.get("ended")) == (False, 30_000, 0), done
        assert any("30,000 records left" in line for line in done["report"])
        assert time.monotonic() - began < 30
    engine.dispose()
    assert fork_module("zombie_fail", args)["ended"] == 30_000
