# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backend_cleanup on each database: what it says, what it changes, and that it changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.applications import Application
from support.running import ModuleRun
from support.servers import Database, SQLite
from support.tables import create_django_celery_beat, create_django_celery_results, dump

RunModule = Callable[..., ModuleRun]

NAME = "celery.backend_cleanup"
OWN = "cleanup-celery-results"
TASKS = "django_celery_beat_periodictask"
CHANGES = "django_celery_beat_periodictasks"


def with_tasks(database: Database) -> None:
    """The built-in task as beat makes it, an own one, and one of another kind."""
    create_django_celery_beat(database)
    Application(database, beat=True).make_schedule(
        {"name": NAME, "task": NAME, "crontab": "0 4 * * *", "expire_seconds": 43200},
        {"name": OWN, "task": "shop.tasks.cleanup", "crontab": "0 3 * * *", "kwargs": '{"days": 7}'},
        {"name": "poll", "task": "shop.tasks.poll", "interval": [10, "seconds"]},
    )


@pytest.fixture
def tasks(make_database: Callable[..., Database]) -> Database:
    return make_database(with_tasks)


@pytest.fixture
def no_tasks(tasks: Database) -> Database:
    """The tables as the migrations leave them, which takes less time from there than by the migrations."""
    for table in (TASKS, CHANGES, "django_celery_beat_crontabschedule", "django_celery_beat_intervalschedule"):
        tasks.execute(f"DELETE FROM {table}")
    return tasks


def _others(database: Database) -> dict[str, Any]:
    """Everything but the row of the built-in task and what tells beat of a change."""
    found = dump(database)
    found[TASKS] = [row for row in found[TASKS] if NAME not in row]
    del found[CHANGES]
    return found


def _quartet(run_module: RunModule, database: Database, **options: Any) -> ModuleRun:
    arguments = {"database_url": database.url, **options}
    full, others, told = dump(database), _others(database), _last_update(database)
    foretold = run_module("backend_cleanup", arguments, check=True, diff=True)
    assert not foretold.get("failed"), foretold
    assert dump(database) == full
    done = run_module("backend_cleanup", arguments, diff=True)
    changed = dump(database)
    nothing_left = run_module("backend_cleanup", arguments, check=True, diff=True)
    again = run_module("backend_cleanup", arguments, diff=True)
    assert dump(database) == changed
    assert _others(database) == others

    assert [run["changed"] for run in (foretold, done, nothing_left, again)] == [True, True, False, False]
    for key in ("before", "after", "diff", "recreation", "periodic_tasks", "report"):
        assert foretold[key] == done[key]
    assert done["diff"]["before"] != done["diff"]["after"]
    assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
    assert again["before"] == again["after"] == nothing_left["after"] == done["after"]
    assert done["periodic_tasks"] == again["periodic_tasks"] == database.count(TASKS)
    assert [run["beat_notified"] for run in (foretold, done, nothing_left, again)] == [False, True, False, False]
    assert _last_update(database) > told
    return done


def _last_update(database: Database) -> Any:
    return database.scalar(f"SELECT last_update FROM {CHANGES} WHERE ident = 1")


def test_it_is_disabled(run_module: RunModule, tasks: Database) -> None:
    tasks.execute(f"UPDATE {TASKS} SET last_run_at = date_changed, total_run_count = 3")
    done = _quartet(run_module, tasks, own_task=OWN)
    assert done["before"] == {**done["after"], "enabled": True}
    assert done["after"]["crontab"] == "0 4 * * *"
    assert done["recreation"]["verdict"] == "stays_disabled"
    assert done["own_task"]["kwargs"] == {"days": 7}
    assert done["report"] == [
        f"{NAME}: enabled at 0 4 * * * (UTC) → disabled at 0 4 * * * (UTC)",
        f"  {done['recreation']['why']}",
        "  Total periodic tasks: 3",
        f"  Own cleanup task {OWN}: enabled at 0 3 * * * (UTC)",
    ]
    runs = tasks.execute(f"SELECT last_run_at, total_run_count FROM {TASKS} WHERE name = '{NAME}'")
    assert runs == [(None, 3)]  # as the models do


def test_it_is_deleted(fork_module: RunModule, tasks: Database) -> None:
    done = _quartet(fork_module, tasks, state="absent", result_expires="24h")
    assert (done["after"], done["periodic_tasks"], done["own_task"]) == (None, 2, None)
    assert done["recreation"]["verdict"] == "will_come_back"


@pytest.mark.parametrize(
    ("result_expires", "verdict"),
    [("86400", "will_come_back"), ("-1", "will_come_back"), ("none", "stays_absent"), ("0", "stays_absent")]
    + [("0s", "stays_absent"), (None, "unknown")],
)
def test_what_becomes_of_a_deleted_row(
    fork_module: RunModule, sqlite: SQLite, result_expires: str | None, verdict: str
) -> None:
    database = sqlite.filled_database(with_tasks, with_tasks)[0]
    run = fork_module(
        "backend_cleanup", {"database_url": database.url, "state": "absent", "result_expires": result_expires}
    )
    assert (run["changed"], run["recreation"]["verdict"]) == (True, verdict)
    database.drop()


def test_it_is_there_again(fork_module: RunModule, tasks: Database) -> None:
    _quartet(fork_module, tasks, state="disabled")
    done = _quartet(fork_module, tasks, state="present")
    assert done["recreation"]["verdict"] == "stays_enabled"
    before = Application(tasks, beat=True).read_schedule()[NAME]
    _quartet(fork_module, tasks, state="absent")
    done = _quartet(fork_module, tasks, state="present")
    assert done["after"]["enabled"] is True
    # What it made is what beat had made, to its crontab.
    after = Application(tasks, beat=True).read_schedule()[NAME]
    assert {**after, "date_changed": None} == {**before, "date_changed": None}
    assert after["errors"] is None


def test_what_beat_will_make_is_there_first_and_disabled(fork_module: RunModule, no_tasks: Database) -> None:
    """In an empty schedule, which beat has never seen."""
    arguments = {"database_url": no_tasks.url, "result_expires": "7d"}
    foretold = fork_module("backend_cleanup", arguments, check=True)
    assert no_tasks.count(TASKS) == 0
    done = fork_module("backend_cleanup", arguments)
    again = fork_module("backend_cleanup", arguments)
    assert [run["changed"] for run in (foretold, done, again)] == [True, True, False]
    assert foretold["after"] == done["after"] == again["before"]
    assert done["recreation"]["verdict"] == "stays_disabled"
    read = Application(no_tasks, beat=True).read_schedule()[NAME]
    assert (read["enabled"], read["timezone"], read["expire_seconds"], read["errors"]) == (False, "UTC", 43200, None)
    assert no_tasks.count(CHANGES) == 1


@pytest.mark.parametrize(("result_expires", "verdict"), [("none", "stays_absent"), (None, "unknown")])
def test_nothing_is_made_that_beat_may_not_make(
    fork_module: RunModule, no_tasks: Database, result_expires: str | None, verdict: str
) -> None:
    options = {"result_expires": result_expires} if result_expires else {}
    run = fork_module("backend_cleanup", {"database_url": no_tasks.url, **options})
    assert (run["changed"], run["after"], run["periodic_tasks"]) == (False, None, 0)
    assert run["recreation"]["verdict"] == verdict
    assert (no_tasks.count(TASKS), no_tasks.count(CHANGES)) == (0, 0)


def test_an_own_task_that_is_absent_is_said_to_be(fork_module: RunModule, tasks: Database) -> None:
    run = fork_module("backend_cleanup", {"database_url": tasks.url, "own_task": "nightly"}, check=True)
    assert run["own_task"] is None
    assert run["report"][-1] == "  Own cleanup task nightly: absent"


@pytest.mark.parametrize("module", ["backend_cleanup", "periodic_task"])
def test_a_database_without_a_schedule_is_refused(
    fork_module: RunModule, make_database: Callable[..., Database], module: str
) -> None:
    database = make_database(create_django_celery_results)
    before = dump(database)
    options = {"name": "nightly", "state": "absent"} if module == "periodic_task" else {}
    run = fork_module(module, {"database_url": database.url, **options})
    assert run["failed"] is True
    assert f"has no table {TASKS}" in run["msg"]
    assert "django-celery-beat" in run["msg"]
    assert "Traceback" not in run.output
    assert dump(database) == before


def test_a_wrong_expiry_is_refused(fork_module: RunModule, sqlite: SQLite) -> None:
    database = sqlite.filled_database(with_tasks, with_tasks)[0]
    before = dump(database)
    run = fork_module("backend_cleanup", {"database_url": database.url, "result_expires": "a day"})
    assert run["failed"] is True
    assert "result_expires: 'a day' is not a duration" in run["msg"]
    assert dump(database) == before
