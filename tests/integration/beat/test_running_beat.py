# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real beat makes of the rows: each version, and among them each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import provide
from support import engine
from support.applications import Application, RunningBeat
from support.applications.beat import SCHEDULE_CHANGED
from support.running import ModuleRun
from support.servers import Database, DatabaseServer
from support.tables import create_django_celery_beat
from support.waiting import wait_until

RunModule = Callable[..., ModuleRun]

NAME = "celery.backend_cleanup"
OWN = "cleanup-celery-results"
TASKS = "django_celery_beat_periodictask"
CHANGES = "django_celery_beat_periodictasks"
NOTICE = 10.0  # seconds; beat looks every second here
PAIRS = [
    ("2.6.0", "sqlite"),
    ("2.7.0", "mariadb"),
    ("2.8.0", "sqlite"),
    ("2.8.1", "postgresql"),
    ("2.9.0", "postgresql"),
]


@pytest.fixture(params=PAIRS, ids="-".join)
def application(request: pytest.FixtureRequest) -> Iterator[Application]:
    """An application whose schedule is empty, and which keeps results for a day."""
    version, kind = request.param
    server: DatabaseServer = request.getfixturevalue(kind)

    def migrate(database: Database) -> None:
        create_django_celery_beat(database, version)

    database, _nothing = provide(lambda: server.filled_database(("beat", version), migrate))
    yield Application(database, beat=True, beat_version=version)
    database.drop()


def test_the_life_of_the_row(fork_module: RunModule, application: Application) -> None:
    database = application.database
    url = {"database_url": database.url}

    def cleanup(**options: Any) -> ModuleRun:
        run = fork_module("backend_cleanup", {**url, **options})
        assert not run.get("failed"), run
        return run

    # Disabled before beat has ever made it, it stays so.
    assert cleanup(result_expires="24h")["recreation"]["verdict"] == "stays_disabled"
    with RunningBeat(application) as beat:
        assert _row(database) == [False]
        assert beat.loaded() == set()
        mark = _tick(beat)
        own = fork_module("periodic_task", {**url, **_task(), "timezone": "Europe/Berlin"})
        assert own["changed"], own
        beat.wait_for(SCHEDULE_CHANGED, NOTICE, after=mark)
        wait_until(lambda: beat.loaded() == {OWN})

    # Only deleted, it comes back, as foretold.
    assert cleanup(state="absent", result_expires="24h")["recreation"]["verdict"] == "will_come_back"
    assert _row(database) == []
    with RunningBeat(application) as beat:
        assert _row(database) == [True]
        # A running beat lets go of it, though the application's clock was ahead at its last change.
        _put_ahead(database, beat)
        wait_until(lambda: beat.loaded() == {NAME, OWN})
        mark = _tick(beat)
        assert cleanup(own_task=OWN)["own_task"]["enabled"] is True
        beat.wait_for(SCHEDULE_CHANGED, NOTICE, after=mark)
        wait_until(lambda: beat.loaded() == {OWN})


@pytest.mark.parametrize("application", PAIRS[-1:], indirect=True, ids="-".join)
def test_an_application_that_keeps_results_for_ever_never_makes_it(
    fork_module: RunModule, application: Application
) -> None:
    url = {"database_url": application.database.url}
    fork_module("backend_cleanup", {**url, "state": "present"})
    fork_module("periodic_task", {**url, **_task()})
    silent = replace(application, result_expires=None)
    with RunningBeat(silent) as beat:
        assert beat.loaded() == {NAME, OWN}
        mark = _tick(beat)
        gone = fork_module("backend_cleanup", {**url, "state": "absent", "result_expires": "none"})
        beat.wait_for(SCHEDULE_CHANGED, NOTICE, after=mark)
        assert gone["recreation"]["verdict"] == "stays_absent"
    with RunningBeat(silent) as beat:
        assert _row(application.database) == []
        assert beat.loaded() == {OWN}
        assert "Traceback" not in beat.log


def test_disabled_it_stays_so_at_every_start(fork_module: RunModule, application: Application) -> None:
    """And a crontab that is there already is shared, by beat with the module and by the module with beat."""
    schedule = {"nightly": {"task": "shop.tasks.add", "crontab": "0 3 * * *", "args": [1, 2]}}
    crontabs = "django_celery_beat_crontabschedule"
    database = application.database
    url = {"database_url": database.url}
    with RunningBeat(application):
        assert _row(database) == [True]
    assert database.count(crontabs) == 1
    fork_module("backend_cleanup", url)
    # The application's, made by beat, of the same time as this one.
    fork_module("periodic_task", {**url, **_task(), "crontab": "0 3 * * *", "timezone": "UTC"})
    fork_module("periodic_task", {**url, **_task(), "name": "second", "crontab": "0 4 * * *"})
    assert database.count(crontabs) == 2
    with RunningBeat(replace(application, beat_schedule=schedule)):
        assert _row(database) == [False]
    assert database.count(crontabs) == 2
    rows = application.read_schedule()
    assert {name: row["errors"] for name, row in rows.items()} == dict.fromkeys((NAME, OWN, "second", "nightly"))
    assert rows[OWN]["crontab_id"] == rows["nightly"]["crontab_id"]
    assert rows["second"]["crontab_id"] == rows[NAME]["crontab_id"]


def test_an_entry_of_the_applications_own_schedule_makes_it_whatever_result_expires_says(
    application: Application,
) -> None:
    def cleanup(state: str) -> str:
        verdict: str = engine.backend_cleanup(application.database, state, expires=False, scheduled=True)
        return verdict

    entry = {"task": NAME, "crontab": "0 2 * * *"}
    scheduling = replace(application, result_expires=None, beat_schedule={NAME: entry})
    with RunningBeat(scheduling):
        assert _row(application.database) == [True]
    assert cleanup("absent") == "will_come_back"
    assert _row(application.database) == []
    with RunningBeat(scheduling):
        assert _row(application.database) == [True]
    assert cleanup("disabled") == "stays_disabled"
    with RunningBeat(scheduling):
        assert _row(application.database) == [False]
    # What an entry says beside its schedule is written too, as the documentation warns.
    with RunningBeat(replace(scheduling, beat_schedule={NAME: {**entry, "enabled": True}})):
        assert _row(application.database) == [True]


@pytest.mark.parametrize("application", PAIRS[-1:], indirect=True, ids="-".join)
def test_beat_sends_the_task_at_its_time(fork_module: RunModule, application: Application) -> None:
    with RunningBeat(application) as beat:
        done = fork_module("periodic_task", {"database_url": application.database.url, **_task()})
        assert done["changed"], done
        beat.wait_for(f"Sending due task {OWN}", 75)
        wait_until(lambda: beat.sent() != [])
        (message,) = beat.sent()
    assert (message["queue"], message["properties"]["priority"]) == ("light", 3)
    headers = message["headers"]
    assert (headers["task"], headers["argsrepr"], headers["kwargsrepr"]) == ("shop.tasks.add", "[2, 3]", "{}")
    # Sent on the minute, and dropped ten minutes later where no worker takes it.
    left = datetime.fromisoformat(headers["expires"]) - datetime.now(timezone.utc)
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)
    row = application.read_schedule()[OWN]
    assert (row["total_run_count"], row["errors"]) == (1, None)


def _task() -> dict[str, Any]:
    return {
        "name": OWN,
        "task": "shop.tasks.add",
        "crontab": "* * * * *",
        "args": [2, 3],
        "queue": "light",
        "priority": 3,
        "expire_seconds": 600,
    }


def _row(database: Database) -> list[bool]:
    return [bool(enabled) for (enabled,) in database.execute(f"SELECT enabled FROM {TASKS} WHERE name = '{NAME}'")]


def _tick(beat: RunningBeat) -> int:
    """Wait until beat has looked at its schedule once more; the length of its log."""
    mark = len(beat.log)
    beat.wait_for("Waking up", NOTICE, after=mark)
    return len(beat.log)


def _put_ahead(database: Database, beat: RunningBeat) -> None:
    """Let the last change have been made by a clock that is ten minutes ahead, and beat have seen it."""
    ahead = {
        "postgresql": "last_update + INTERVAL '10 minutes'",
        "mariadb": "last_update + INTERVAL 10 MINUTE",
        "sqlite": "strftime('%Y-%m-%d %H:%M:%f', last_update, '+10 minutes')",
    }[database.kind]
    mark = len(beat.log)
    database.execute(f"UPDATE {CHANGES} SET last_update = {ahead}")
    beat.wait_for(SCHEDULE_CHANGED, NOTICE, after=mark)
