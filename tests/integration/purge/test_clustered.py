# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By which index MariaDB reaches the rows of a batch, as it says itself just before it deletes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from support.engine import purge
from support.servers import Database
from support.tables import Ago, create_django_celery_results, fill
from support.tables.fill import Numbered
from support.tables.rows import DAY, TASK_RESULT, task_results

OLD, YOUNG, BATCH = 20_000, 20_000, 1_000

_FIRST_COLUMNS = """
    SELECT index_name, column_name FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND seq_in_index = 1 AND index_name <> 'PRIMARY'
"""


@contextmanager
def _indexes_used() -> Iterator[list[str]]:
    used: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith("DELETE FROM"):
            cursor.execute(f"EXPLAIN {statement}", parameters)
            columns = [column[0] for column in cursor.description]
            used.append(dict(zip(columns, cursor.fetchone()))["key"])

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        yield used
    finally:
        event.remove(Engine, "before_cursor_execute", explain)


@pytest.mark.parametrize(("order_by", "index"), [("date_done", "PRIMARY"), ("worker", "date_done")])
def test_the_shorter_of_both_ranges(mariadb_database: Database, order_by: str, index: str) -> None:
    """Rows that were written as time went by lie side by side; others lie anywhere."""
    create_django_celery_results(mariadb_database)
    # Of neighbours in time, each goes to another worker.
    worker = Numbered("celery@", 500)
    rows = [
        task_results(OLD, date_done=Ago(90 * DAY, 40 * DAY), worker=worker),
        task_results(YOUNG, date_done=Ago(2 * DAY, DAY), worker=worker),
    ]
    fill(mariadb_database, TASK_RESULT, rows, order_by=order_by)
    mariadb_database.execute(f"ANALYZE TABLE {TASK_RESULT}")
    leading = dict(mariadb_database.execute(_FIRST_COLUMNS))
    with _indexes_used() as used:
        done = purge(mariadb_database, [{"older_than": "30d"}], batch_size=BATCH)
    assert (done["deleted"], mariadb_database.count(TASK_RESULT)) == (OLD, YOUNG)
    assert len(used) == OLD // BATCH
    assert {leading.get(name, name) for name in used} == {index}
