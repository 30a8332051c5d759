# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping the newest rows of each task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from support.engine import purge
from support.servers import Database
from support.tables import Ago, create_django_celery_results, fill
from support.tables.fill import Numbered
from support.tables.rows import DAY, TASK_RESULT, processing_rows, task_metas, task_results


@pytest.fixture
def results(make_database: Callable[..., Database]) -> Database:
    return make_database(create_django_celery_results)


def _names(database: Database) -> Counter[str]:
    return Counter(name for (name,) in database.execute(f"SELECT task_name FROM {TASK_RESULT}"))


def test_the_newest_of_each_task_stay(results: Database) -> None:
    rows = [
        task_results(10, task_name="a", date_done=Ago(40 * DAY, 31 * DAY)),
        task_results(3, task_name="b", days=50),
        task_results(5, task_name="B", days=50),
        task_results(4, task_name=None, days=50),
        task_results(6, "STARTED", task_name="a", days=60),
    ]
    fill(results, TASK_RESULT, rows)
    done = purge(results, [{"older_than": "30d", "keep_last": 4}], batch_size=2)
    assert _names(results) == {"a": 4 + 6, "b": 3, "B": 4, None: 4}
    assert (done["deleted"], done["stopped"]) == (7, "drained")
    oldest = results.scalar(f"SELECT count(*) FROM {TASK_RESULT} WHERE status = 'SUCCESS' AND task_name = 'a'")
    assert oldest == 4


def test_new_rows_count_among_the_newest(results: Database) -> None:
    fill(results, TASK_RESULT, [task_results(5, task_name="a", days=40), task_results(2, task_name="a", days=1)])
    assert purge(results, [{"older_than": "30d", "keep_last": 3}])["deleted"] == 4


def test_which_rows_stay(results: Database) -> None:
    fill(results, TASK_RESULT, [task_results(9, task_id=Numbered("row ", 9), date_done=Ago(50 * DAY, 42 * DAY))])
    purge(results, [{"statuses": ["success"], "keep_last": 2}])
    assert sorted(task for (task,) in results.execute(f"SELECT task_id FROM {TASK_RESULT}")) == ["row 7", "row 8"]


@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE"])
def test_a_native_enumeration_as_name(processing_tasks: Database, status: str) -> None:
    rows = [processing_rows(6, status, 50), processing_rows(3, status, 50, task_type="VIDEO_SLICE")]
    fill(processing_tasks, "processing_tasks", rows)
    done = purge(processing_tasks, [{"keep_last": 2, "tasks": ["DOWN", "slice"]}], profile="processing_tasks")
    assert done["deleted"] == 4


def test_a_table_with_one_date(celery_tables: Database) -> None:
    fill(celery_tables, "celery_taskmeta", [task_metas(9), task_metas(3, days=None)], clock="celery")
    done = purge(celery_tables, [{"keep_last": 5}], profile="celery_database")
    # Without a date, a row counts as the oldest.
    assert (done["deleted"], done["stopped"]) == (7, "drained")
    assert celery_tables.scalar("SELECT count(*) FROM celery_taskmeta WHERE date_done IS NULL") == 0
