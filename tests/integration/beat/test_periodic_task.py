# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""periodic_task on each database: rows as the models of django-celery-beat read them, and nothing else touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.applications import Application
from support.running import ModuleRun
from support.servers import Database, SQLite
from support.tables import create_django_celery_beat, dump

RunModule = Callable[..., ModuleRun]

NAME = "cleanup-celery-results"
TASKS = "django_celery_beat_periodictask"
CRONTABS = "django_celery_beat_crontabschedule"
CHANGES = "django_celery_beat_periodictasks"
FULL: dict[str, Any] = {
    "name": NAME,
    "task": "shop.tasks.cleanup",
    "crontab": "30 3 * * mon-fri",
    "timezone": "Europe/Berlin",
    "args": [1, "zwölf", None, {"a": [True]}],
    "kwargs": {"days_to_keep": 7, "name": "50% {{ of }} it"},
    "queue": "light",
    "priority": 0,
    "expire_seconds": 3600,
    "enabled": False,
    "description": "Removes old results: 'nightly'",
}


def with_others(database: Database) -> None:
    """Rows of every kind, each with columns that the module has no option for."""
    create_django_celery_beat(database)
    Application(database, beat=True).make_schedule(
        {"name": "nightly", "task": "shop.tasks.report", "crontab": "0 3 * * *", "timezone": "America/New_York"},
        {"name": "lists", "task": "shop.tasks.report", "crontab": "1,15 2 * * *", "args": "[1,2]", "priority": 7},
        {
            "name": "poll",
            "task": "shop.tasks.poll",
            "interval": [1, "days"],
            "exchange": "direct",
            "routing_key": "key",
            "headers": '{"a":1}',
            "expires": "2999-01-01T00:00:00Z",
        },
        {"name": "once", "task": "shop.tasks.poll", "clocked": "2999-01-01T00:00:00Z", "one_off": True},
    )
    # As beat writes a list that Celery was given.
    database.execute(f"UPDATE {CRONTABS} SET minute = '1, 15' WHERE minute = '1,15'")
    database.execute(f"UPDATE {TASKS} SET last_run_at = date_changed, total_run_count = 3")


@pytest.fixture
def tasks(make_database: Callable[..., Database]) -> Database:
    return make_database(with_others)


@pytest.fixture
def one_database(sqlite: SQLite) -> Iterator[Database]:
    database = sqlite.filled_database(with_others, with_others)[0]
    yield database
    database.drop()


def _row(database: Database, name: str) -> dict[str, Any]:
    columns = [column for column in COLUMNS if column != "date_changed"]
    (row,) = database.execute(f"SELECT {', '.join(columns)} FROM {TASKS} WHERE name = '{name}'")
    return dict(zip(columns, row, strict=True))


COLUMNS = (
    *("id", "name", "task", "args", "kwargs", "queue", "exchange", "routing_key", "headers", "priority"),
    *("expires", "expire_seconds", "one_off", "start_time", "enabled", "last_run_at", "total_run_count"),
    *("date_changed", "description", "interval_id", "crontab_id", "solar_id", "clocked_id"),
)


def _quartet(run_module: RunModule, database: Database, **options: Any) -> ModuleRun:
    arguments = {"database_url": database.url, **options}
    full = dump(database)
    foretold = run_module("periodic_task", arguments, check=True, diff=True)
    assert not foretold.get("failed"), foretold
    assert dump(database) == full
    done = run_module("periodic_task", arguments, diff=True)
    changed = dump(database)
    nothing_left = run_module("periodic_task", arguments, check=True, diff=True)
    again = run_module("periodic_task", arguments, diff=True)
    assert dump(database) == changed
    assert _others(changed, options["name"]) == _others(full, options["name"])
    assert changed[CHANGES] > full[CHANGES]

    assert [run["changed"] for run in (foretold, done, nothing_left, again)] == [True, True, False, False]
    for key in ("before", "after", "diff", "report"):
        assert foretold[key] == done[key]
    assert done["diff"]["before"] != done["diff"]["after"]
    assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
    assert again["before"] == again["after"] == nothing_left["after"] == done["after"]
    assert [run["beat_notified"] for run in (foretold, done, nothing_left, again)] == [False, True, False, False]
    return done


def _others(found: dict[str, Any], name: str) -> list[Any]:
    return [row for row in found[TASKS] if name not in row]


def test_every_option_is_written(run_module: RunModule, tasks: Database) -> None:
    done = _quartet(run_module, tasks, **FULL)
    assert done["before"] is None
    assert done["after"] == FULL
    read = Application(tasks, beat=True).read_schedule()[NAME]
    assert read["errors"] is None
    assert {key: read[key] for key in FULL if key not in ("name", "crontab")} == {
        key: value for key, value in FULL.items() if key not in ("name", "crontab")
    }
    assert " ".join(read["schedule"].split()) == "<crontab: 30 3 mon-fri * * (m/h/d/dM/MY), Europe/Berlin>"
    assert (read["headers"], read["one_off"], read["total_run_count"], read["last_run_at"]) == ({}, False, 0, None)


def test_a_row_needs_no_more_than_a_task_and_a_time(fork_module: RunModule, tasks: Database) -> None:
    """The rest is as beat makes it, and the crontab of the same time is shared."""
    crontabs = tasks.count(CRONTABS)
    done = _quartet(fork_module, tasks, name=NAME, task="t", crontab="0  3 * * *", timezone="America/New_York")
    assert done["after"] == {
        "name": NAME,
        "task": "t",
        "crontab": "0 3 * * *",
        "timezone": "America/New_York",
        "args": [],
        "kwargs": {},
        "queue": None,
        "priority": None,
        "expire_seconds": None,
        "enabled": True,
        "description": "",
    }
    assert tasks.count(CRONTABS) == crontabs
    assert _row(tasks, NAME)["crontab_id"] == _row(tasks, "nightly")["crontab_id"]
    # Without a zone, that of most others.
    tasks.execute(f"UPDATE {CRONTABS} SET timezone = 'Asia/Tokyo'")
    arguments = {"database_url": tasks.url, "name": "other", "task": "t", "crontab": "1 1 1 1 1"}
    assert fork_module("periodic_task", arguments)["after"]["timezone"] == "Asia/Tokyo"


def test_it_is_removed(fork_module: RunModule, tasks: Database) -> None:
    done = _quartet(fork_module, tasks, name="nightly", state="absent")
    assert done["after"] is None
    # Others may use the crontab, now or when they come back.
    assert tasks.count(CRONTABS) == 2


def test_an_interval_is_replaced(fork_module: RunModule, tasks: Database) -> None:
    before = _row(tasks, "poll")
    done = _quartet(fork_module, tasks, name="poll", crontab="5 4 * * *", expire_seconds=60)
    assert (done["before"]["crontab"], done["after"]["timezone"]) == (None, "America/New_York")
    after = _row(tasks, "poll")
    changed = {key for key, value in after.items() if value != before[key]}
    # Beside what was asked for: the models refuse both expiries at once, and without a last run it isn't overdue.
    assert changed == {"interval_id", "crontab_id", "expire_seconds", "expires", "last_run_at"}
    assert Application(tasks, beat=True).read_schedule()["poll"]["errors"] is None


@pytest.mark.parametrize(("every", "period", "warned"), [(1, "days", True), (24, "hours", True), (23, "hours", False)])
def test_an_interval_of_a_day_is_warned_of(
    fork_module: RunModule, one_database: Database, every: int, period: str, warned: bool
) -> None:
    one_database.execute(f"UPDATE django_celery_beat_intervalschedule SET every = {every}, period = '{period}'")
    arguments = {"database_url": one_database.url, "name": "poll"}
    for options in ({}, {"queue": "slow"}):
        told = str(fork_module("periodic_task", {**arguments, **options}).get("warnings"))
        assert ("poll has an interval of a day or more" in told) is warned
    # Nothing is wrong with what has a time, or is gone.
    for options in ({"crontab": "0 3 * * *"}, {"state": "absent"}):
        for check in (True, False):
            assert "warnings" not in fork_module("periodic_task", {**arguments, **options}, check=check)


def test_a_task_that_ran_once_repeats(fork_module: RunModule, tasks: Database) -> None:
    _quartet(fork_module, tasks, name="once", crontab="5 4 * * *")
    after = _row(tasks, "once")
    assert (bool(after["one_off"]), after["clocked_id"]) == (False, None)


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ({"enabled": False}, {"enabled", "last_run_at"}),
        ({"queue": "fast"}, {"queue"}),
        ({"description": "words"}, {"description"}),
        ({"priority": 255}, {"priority"}),
        ({"args": [1]}, {"args"}),
        ({"task": "shop.tasks.other"}, {"task"}),
        ({"timezone": "Europe/Berlin"}, {"crontab_id", "last_run_at"}),
        ({"crontab": "1,15 2 * * *", "queue": "fast"}, {"queue"}),
    ],
    ids=lambda value: "-".join(sorted(value)),
)
def test_what_is_not_given_stays(
    fork_module: RunModule, one_database: Database, options: dict[str, Any], columns: set[str]
) -> None:
    before = _row(one_database, "lists")
    _quartet(fork_module, one_database, name="lists", **options)
    after = _row(one_database, "lists")
    assert {key for key, value in after.items() if value != before[key]} == columns


def test_text_that_is_no_json_stays(fork_module: RunModule, one_database: Database) -> None:
    one_database.execute(f"UPDATE {TASKS} SET kwargs = 'no json' WHERE name = 'nightly'")
    _quartet(fork_module, one_database, name="nightly", queue="fast")
    assert _row(one_database, "nightly")["kwargs"] == "no json"


def test_an_empty_queue_is_none(fork_module: RunModule, tasks: Database) -> None:
    tasks.execute(f"UPDATE {TASKS} SET queue = 'fast'")
    assert _quartet(fork_module, tasks, name="lists", queue="")["after"]["queue"] is None
    assert _row(tasks, "lists")["queue"] is None


def test_a_row_that_is_enabled_again_is_not_overdue(fork_module: RunModule, one_database: Database) -> None:
    dates = "last_run_at = '2001-01-01 00:00:00', date_changed = '2001-01-01 00:00:00'"
    one_database.execute(f"UPDATE {TASKS} SET enabled = false, {dates} WHERE name = 'lists'")
    _quartet(fork_module, one_database, name="lists", enabled=True)
    row = Application(one_database, beat=True).read_schedule()["lists"]
    assert (row["last_run_at"], row["enabled"]) == (None, True)
    assert row["date_changed"] > "2020"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crontab": "0 3 * * 7"}, "'7' is no day of week"),
        ({"crontab": "0 3 * *"}, "has 4 fields"),
        ({"crontab": ""}, "has 0 fields"),
        ({"crontab": "@daily"}, "'@daily' is no line of five fields. Beat counts an interval"),
        ({"crontab": "every 24h"}, "by crontab, such as 0 3 * * *"),
        ({"interval": "24h"}, "interval is refused. Beat counts an interval"),
        ({"interval": {"every": 1, "period": "days"}}, "by crontab, such as 0 3 * * *"),
        ({"crontab": "0 3 * * *", "timezone": "Berlin"}, "'Berlin' is not a time zone"),
        ({"timezone": "Berlin"}, "'Berlin' is not a time zone"),
        ({"name": "poll", "timezone": "UTC"}, "timezone belongs to a crontab"),
        ({"priority": 256}, "priority must lie between 0 and 255"),
        ({"priority": -1}, "priority must lie between 0 and 255"),
        ({"expire_seconds": 0}, "expire_seconds must lie between 1 and"),
        ({"expire_seconds": 2**31}, "expire_seconds must lie between 1 and"),
        ({"task": " "}, "task must not be empty"),
        ({"queue": "q" * 201}, "queue must have at most 200"),
        ({"name": ""}, "name must have from 1 to 200"),
        ({"name": "n" * 201, "task": "t", "crontab": "* * * * *"}, "name must have from 1 to 200"),
        ({"name": "new", "crontab": "0 3 * * *"}, "There is no periodic task new; to make it, give task and crontab"),
        ({"name": "new", "task": "t"}, "to make it, give task and crontab"),
    ],
)
def test_wrong_options_change_nothing(
    fork_module: RunModule, one_database: Database, options: dict[str, Any], words: str
) -> None:
    before = dump(one_database)
    arguments = {"database_url": one_database.url, "name": "lists", "enabled": False, **options}
    for check in (True, False):
        run = fork_module("periodic_task", arguments, check=check)
        assert run.get("failed") is True, run
        assert words in run["msg"]
        assert "Traceback" not in run.output
    assert dump(one_database) == before
