# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers in other time zones: a row's age is the time since it was written, whatever a date without a zone means."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from support.applications import Application, run_worker
from support.engine import purge
from support.servers import Database, MariaDB, PostgreSQL
from support.tables import Ago, Rows, UniqueText, create_celery_tables, create_processing_tasks, fill
from support.tables.fill import Clock
from support.tables.rows import DAY, task_metas

HOUR = 3600.0
ZONES = ["America/New_York", "Asia/Kolkata", "UTC"]
PROFILE = "processing_tasks"


@pytest.fixture(params=ZONES)
def zoned(postgresql: PostgreSQL, request: pytest.FixtureRequest) -> Iterator[Database]:
    database = postgresql.new_database(time_zone=request.param)
    yield database
    database.drop()


def _straddling(count: int, seconds: float) -> Rows:
    return task_metas(count, days=seconds / DAY)


def test_what_celerys_own_backend_wrote_is_as_old_as_it_is(zoned: Database) -> None:
    create_celery_tables(zoned)
    rows = [_straddling(3, 24 * HOUR + 120), _straddling(4, 24 * HOUR - 120)]
    fill(zoned, "celery_taskmeta", rows, clock="celery")
    assert purge(zoned, [{"older_than": "24h"}], profile="celery_database")["deleted"] == 3


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_the_hosts_own_zone_for_libpq_is_not_the_servers(
    zoned: Database, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_celery_tables(zoned)
    rows = [_straddling(3, 24 * HOUR + 120), _straddling(4, 24 * HOUR - 120)]
    fill(zoned, "celery_taskmeta", rows, clock="celery")
    monkeypatch.setenv("PGTZ", zone)
    assert purge(zoned, [{"older_than": "24h"}], profile="celery_database")["deleted"] == 3
    assert os.environ["PGTZ"] == zone


def _tasks(count: int, seconds: float) -> Rows:
    values = {"celery_task_id": UniqueText(), "task_type": "DOWNLOAD", "status": "SUCCESS", "created_at": Ago(seconds)}
    return Rows(count, {**values, "completed_at": Ago(seconds)})


@pytest.mark.parametrize("clock", ["utc", "session"])
def test_a_table_with_fresh_rows_tells_its_zone_or_lives_longer(zoned: Database, clock: Clock) -> None:
    create_processing_tasks(zoned)
    rows = [_tasks(1, 0), _tasks(3, 24 * HOUR - 120), _tasks(4, 48 * HOUR)]
    fill(zoned, PROFILE, rows, clock=clock)
    # Never a row that is younger; at most it lives longer by the zone's offset.
    assert purge(zoned, [{"older_than": "24h"}], profile=PROFILE)["deleted"] == 4


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("postgresql", "options=-c%20timezone={name}"),
        ("mariadb", "init_command=SET%20time_zone='{offset}'"),
    ],
)
@pytest.mark.parametrize(
    ("name", "offset", "hours"), [("America/Lima", "-05:00", -5), ("Asia/Shanghai", "%2B08:00", 8)]
)
def test_the_url_tells_in_which_zone_the_application_writes(
    request: pytest.FixtureRequest, kind: str, option: str, name: str, offset: str, hours: int
) -> None:
    database: Database = request.getfixturevalue(f"{kind}_database")
    create_processing_tasks(database)
    ahead = -hours * HOUR  # such a date lies so far before UTC
    fill(database, PROFILE, [_tasks(number, ahead + ago * HOUR) for number, ago in ((1, 0), (3, 23.9), (4, 24.1))])
    url = f"{database.url}?{option.format(name=name, offset=offset)}"
    assert purge(database, [{"older_than": "24h"}], profile=PROFILE, url=url)["deleted"] == 4


def test_a_date_in_the_future_tells_nothing_of_the_others(zoned: Database) -> None:
    create_processing_tasks(zoned)
    clock: Clock = "session" if zoned.scalar("SELECT extract(timezone FROM now())") < 0 else "utc"
    rows = [_tasks(1, -300 * DAY), _tasks(3, 24 * HOUR - 120), _tasks(4, 48 * HOUR)]
    fill(zoned, PROFILE, rows, clock=clock)
    assert purge(zoned, [{"older_than": "24h"}], profile=PROFILE)["deleted"] == 4


def test_dates_with_a_zone_need_no_guess(zoned: Database) -> None:
    zoned.execute("CREATE TABLE jobs (id SERIAL PRIMARY KEY, status TEXT, created_at TIMESTAMPTZ, ended TIMESTAMPTZ)")
    values = {"status": "SUCCESS", "created_at": Ago(90 * DAY)}
    rows = [
        Rows(3, {**values, "ended": Ago(24 * HOUR + 120)}),
        Rows(4, {**values, "ended": Ago(24 * HOUR - 120)}),
    ]
    fill(zoned, "jobs", rows)
    done = purge(zoned, [{"older_than": "24h"}], profile=PROFILE, table="jobs", columns={"finished": "ended"})
    assert done["deleted"] == 3


@pytest.mark.parametrize("offset", ["-05:00", "+05:30"])
@pytest.mark.parametrize("clock", ["utc", "session"])
def test_mariadb_in_a_zone(mariadb: MariaDB, offset: str, clock: Clock) -> None:
    with mariadb.time_zone(offset):
        database = mariadb.new_database()
        create_processing_tasks(database)
        create_celery_tables(database)
        fill(database, PROFILE, [_tasks(1, 0), _tasks(3, 24 * HOUR - 120), _tasks(4, 48 * HOUR)], clock=clock)
        fill(database, "celery_taskmeta", [_straddling(3, 24 * HOUR + 120), _straddling(4, 24 * HOUR - 120)])
        assert purge(database, [{"older_than": "24h"}], profile=PROFILE)["deleted"] == 4
        assert purge(database, [{"older_than": "24h"}], profile="celery_database")["deleted"] == 3
        database.drop()


def test_a_timestamp_of_mariadb_is_shown_in_the_sessions_zone(mariadb: MariaDB) -> None:
    with mariadb.time_zone("+05:30"):
        database = mariadb.new_database()
        database.execute(
            "CREATE TABLE jobs (id INTEGER AUTO_INCREMENT PRIMARY KEY, status TEXT,"
            " created_at TIMESTAMP NULL, ended TIMESTAMP NULL)"
        )
        values = {"status": "SUCCESS", "created_at": Ago(90 * DAY)}
        rows = [
            Rows(3, {**values, "ended": Ago(24 * HOUR + 120)}),
            Rows(4, {**values, "ended": Ago(24 * HOUR - 120)}),
        ]
        fill(database, "jobs", rows, clock="session")
        done = purge(database, [{"older_than": "24h"}], profile=PROFILE, table="jobs", columns={"finished": "ended"})
        assert done["deleted"] == 3
        database.drop()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_what_a_real_worker_wrote_under_a_zone(postgresql: PostgreSQL, zone: str) -> None:
    database = postgresql.new_database(time_zone=zone)
    application = Application(database, backend="database")
    application.create_tables()
    run_worker(application)
    # All of it is a minute old at most, and would be hours old by a wrong clock.
    rules = [{"statuses": ["SUCCESS", "FAILURE", "REVOKED"], "older_than": "15m"}]
    assert purge(database, rules, profile="celery_database")["matched"] == 0
    database.execute("UPDATE celery_taskmeta SET date_done = date_done - interval '16 minutes'")
    assert purge(database, rules, profile="celery_database")["deleted"] == 10
    database.drop()
