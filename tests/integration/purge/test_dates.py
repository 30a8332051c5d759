# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which date tells a row's age, and what a walk makes of equal dates and missing indexes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.engine import purge
from support.servers import Database
from support.tables import Ago, Rows, UniqueText, create_django_celery_results, fill
from support.tables.rows import DAY, TASK_RESULT, processing_rows, task_metas, task_results

PROFILE = "processing_tasks"
INDEXES = ["", "completed_at", "created_at", "completed_at created_at"]


@pytest.fixture
def results(make_database: Callable[..., Database]) -> Database:
    return make_database(create_django_celery_results)


@pytest.mark.parametrize("indexed", INDEXES)
def test_a_row_that_has_not_ended_has_the_age_of_its_beginning(processing_tasks: Database, indexed: str) -> None:
    for column in indexed.split():
        processing_tasks.execute(f"CREATE INDEX ix_{column} ON processing_tasks ({column})")
    rows = [
        processing_rows(11, "SUCCESS", 40),
        processing_rows(12, "SUCCESS", 40, completed_at=None),
        # Created long ago, ended lately.
        processing_rows(13, "SUCCESS", 40, completed_at=Ago(DAY)),
        processing_rows(14, "SUCCESS", 3, completed_at=None),
    ]
    fill(processing_tasks, PROFILE, rows)
    options = {"profile": PROFILE, "batch_size": 5}
    assert purge(processing_tasks, check=True, **options)["matched"] == 23
    assert purge(processing_tasks, **options)["deleted"] == 23
    left = processing_tasks.execute("SELECT completed_at IS NULL, count(*) FROM processing_tasks GROUP BY 1")
    assert {bool(missing): count for missing, count in left} == {False: 13, True: 14}


def test_a_row_without_any_date_has_no_age(celery_tables: Database) -> None:
    fill(
        celery_tables, "celery_taskmeta", [task_metas(5, "FAILURE", None), task_metas(2, "FAILURE", 9)], clock="celery"
    )
    assert purge(celery_tables, profile="celery_database")["deleted"] == 2
    assert purge(celery_tables, [{"statuses": ["failure"]}], profile="celery_database")["deleted"] == 5


@pytest.mark.parametrize("size", [10, 60])
def test_more_rows_of_one_date_than_a_batch_holds(results: Database, size: int) -> None:
    rows = [
        task_results(120, days=10),
        task_results(30, days=9.5),
        task_results(130, days=9),
        task_results(120, days=3),
        task_results(5, "STARTED", days=10),
    ]
    fill(results, TASK_RESULT, rows)
    done = purge(results, batch_size=size)
    assert (done["deleted"], done["stopped"], results.count(TASK_RESULT)) == (280, "drained", 125)
    assert done["batches"] >= 280 / size


def test_equal_dates_of_text_keys(database: Database) -> None:
    database.execute(
        "CREATE TABLE processing_tasks (id VARCHAR(36) PRIMARY KEY, status VARCHAR(20), created_at TIMESTAMP NULL)"
    )
    database.execute("CREATE INDEX ix_created ON processing_tasks (created_at)")
    same = {"id": UniqueText(), "status": "SUCCESS", "created_at": Ago(40 * DAY)}
    fill(database, PROFILE, [Rows(95, same), Rows(5, {**same, "created_at": Ago(DAY)})])
    done = purge(database, profile=PROFILE, batch_size=10)
    assert (done["deleted"], database.count(PROFILE)) == (95, 5)


def test_dates_as_sqlite_spells_them(sqlite_database: Database) -> None:
    """It keeps text, and applications spell it with and without fractions, zones and the letter T."""
    sqlite_database.execute(
        "CREATE TABLE processing_tasks"
        " (id INTEGER PRIMARY KEY, status TEXT, created_at DATETIME, completed_at DATETIME)"
    )
    spellings = ["2020-01-01", "2020-01-01 10:00", "2020-01-01 10:00:00", "2020-01-01 10:00:00.123456"]
    spellings += ["2020-01-01T10:00:00", "2020-01-01 10:00:00+00:00"]
    for spelling in [*spellings, *(text.replace("2020", "2999") for text in spellings)]:
        sqlite_database.execute(
            "INSERT INTO processing_tasks (status, created_at, completed_at) VALUES ('SUCCESS', :date, :date)",
            date=spelling,
        )
    sqlite_database.execute("CREATE INDEX ix_completed ON processing_tasks (completed_at)")
    sqlite_database.execute("CREATE INDEX ix_created ON processing_tasks (created_at)")
    done = purge(sqlite_database, profile=PROFILE, batch_size=1)
    assert (done["deleted"], sqlite_database.count(PROFILE)) == (6, 6)
