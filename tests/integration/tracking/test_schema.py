# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables make themselves, and bring older ones up to date without losing anything."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from support import tables
from support.engine import purge
from support.servers import Database
from support.tracking import driver_url, recorder_module
from support.tracking.recorder import driver_url as url_of


def _update(database: Database) -> None:
    engine = recorder_module("database").open_engine(driver_url(database))
    recorder_module("schema").bring_up_to_date(engine)
    engine.dispose()


def _shape(database: Database) -> dict[str, Any]:
    with database.begin() as connection:
        inspector = sa.inspect(connection)
        return {
            name: (
                sorted(column["name"] for column in inspector.get_columns(name)),
                sorted(str(index["name"]) for index in inspector.get_indexes(name)),
                [key["referred_table"] for key in inspector.get_foreign_keys(name)],
            )
            for name in inspector.get_table_names()
        }


def test_four_workers_that_start_at_once_make_the_tables(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_update, [database] * 4))
    shape = _shape(database)
    assert set(shape) == {
        "queue_stats", "task_execution_history", "task_logs", "task_metadata", "task_results", "worker_status",
    }  # fmt: skip
    assert {name for name, (_columns, _indexes, keys) in shape.items() if keys == ["task_logs"]} == {
        "task_execution_history",
        "task_metadata",
        "task_results",
    }
    _update(database)
    assert _shape(database) == shape


def test_an_application_s_own_tables_keep_what_they_have(
    make_database: Callable[..., Database],
) -> None:
    database = make_database(tables.create_task_logs)
    database.execute(
        "INSERT INTO task_logs (task_id, task_name, status, created_at, result)"
        " VALUES ('old', 'shop.add', 'STARTED', '2026-01-01 00:00:00', 'mine')"
    )
    before = _shape(database)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_update, [database] * 2))
    after = _shape(database)
    assert all(set(before[name][0]) <= set(after[name][0]) for name in before)
    assert "status_order" in after["task_logs"][0]
    # Its task ids are unique already: a second index would be of no use.
    assert "ux_task_logs_task_id" not in after["task_logs"][1]
    store = recorder_module("store").Store(url_of(database))
    changes = recorder_module("changes").Changes("worker@test")
    records = recorder_module("records")
    changes.add((records.FINISHED, 1_767_225_601.5, "old", "shop.add", 0, "SUCCESS", "3", None, None, None))
    store.write(changes)
    store.close()
    ((status, completed, result),) = database.execute("SELECT status, completed_at, result FROM task_logs")
    # In UTC, whatever the column's type.
    assert (status, str(completed)[:19], result) == ("SUCCESS", "2026-01-01 00:00:01", "mine")
    assert database.execute("SELECT status, result FROM task_results") == [("SUCCESS", "3")]


@pytest.mark.parametrize(
    ("kind", "users"),
    [("INTEGER", {"a": "7"}), ("BIGINT", {"a": "7", "b": "99999999999"}), ("VARCHAR(4)", {"a": "7", "c": "anna"})],
)
def test_a_user_who_does_not_fit_into_an_application_s_own_column_is_left_out(
    make_database: Callable[..., Database], kind: str, users: dict[str, str]
) -> None:
    database = make_database(tables.create_task_logs)
    database.execute(f"ALTER TABLE task_metadata ADD COLUMN user_id {kind}")
    assert _recorded_users(database) == {"a": None, "b": None, "c": None, "d": None, "e": None, **users}


def test_a_user_who_is_a_uuid(postgresql_database: Database) -> None:
    tables.create_task_logs(postgresql_database)
    postgresql_database.execute("ALTER TABLE task_metadata ADD COLUMN user_id uuid")
    assert _recorded_users(postgresql_database) == {"a": None, "b": None, "c": None, "d": _UUID, "e": None}


_UUID = "4b3f1f0e-8f8a-4c39-9d2e-0d6a1c3f5a77"


def _recorded_users(database: Database) -> dict[str, str | None]:
    store = recorder_module("store").Store(url_of(database))
    records, changes = recorder_module("records"), recorder_module("changes").Changes(None)
    for task_id, user in zip("abcde", ("7", "99999999999", "anna", _UUID, None), strict=True):
        changes.add((records.PUBLISHED, 1_700_000_000.0, task_id, "shop.add", 0, "()", "{}", *[None] * 8, user))
    store.write(changes)
    store.close()
    rows = database.execute("SELECT t.task_id, m.user_id FROM task_logs t JOIN task_metadata m ON m.task_id = t.id")
    return {task_id: None if user is None else str(user) for task_id, user in rows}


def test_who_may_not_make_tables_may_use_them(role_database: Database) -> None:
    """A reader of everything finds that nothing is missing, and makes nothing."""
    _update(role_database)
    reader = recorder_module("database").open_engine(
        driver_url(role_database).replace(
            role_database.url.partition("://")[2], role_database.viewer_url.partition("://")[2]
        )
    )
    recorder_module("schema").bring_up_to_date(reader)
    reader.dispose()


def test_duplicates_are_told(postgresql_database: Database) -> None:
    database = postgresql_database
    tables.create_task_logs(database)
    database.execute(
        "INSERT INTO task_logs (task_id, task_name, status, created_at) VALUES ('a', 'n', 'SUCCESS', now())"
    )
    database.execute("INSERT INTO task_results (task_id, status) VALUES (1, 'SUCCESS'), (1, 'SUCCESS')")
    with pytest.raises(sa.exc.IntegrityError) as raised:
        _update(database)
    assert "task_results" in recorder_module("writer").explain(raised.value)
    assert database.count("task_results") == 2


def test_the_engine_purges_what_the_recorder_wrote(database: Database) -> None:
    _update(database)
    store = recorder_module("store").Store(url_of(database))
    records, changes = recorder_module("records"), recorder_module("changes").Changes("worker@test")
    for number, at in enumerate((1_600_000_000.0, 1_600_000_001.0, 4_000_000_000.0)):
        described = ("()", "{}", "celery", *[None] * 8)
        changes.add((records.STARTED, at, f"t{number}", "shop.add", 0, *described))
        changes.add((records.FINISHED, at + 1, f"t{number}", "shop.add", 0, "SUCCESS", "1", None, None, None))
    store.write(changes)
    store.close()
    assert purge(database, profile="task_logs")["deleted"] == 2
    for table in ("task_logs", "task_metadata", "task_execution_history", "task_results"):
        assert database.count(table) == 1
