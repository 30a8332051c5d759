# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deployment_info finds wrong with a database, and that it never fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.applications import Application
from support.servers import Database
from support.tables import create_django_celery_beat, create_processing_tasks, dump

RunModule = Callable[..., dict[str, Any]]


def findings(fork_module: RunModule, url: str) -> dict[str, dict[str, str]]:
    done = fork_module("deployment_info", {"database_url": url})
    assert not done.get("failed"), done
    assert done["changed"] is False
    return {one["code"]: one for one in done["findings"]}


def indexed(database: Database) -> None:
    create_processing_tasks(database)
    database.execute("CREATE INDEX by_end ON processing_tasks (completed_at)")


def referenced(database: Database) -> None:
    indexed(database)
    key = "BIGINT" if database.kind == "postgresql" else "INTEGER"
    database.execute(
        f"CREATE TABLE invoices (id INTEGER PRIMARY KEY, task_id {key}, "
        "FOREIGN KEY (task_id) REFERENCES processing_tasks (id))"
    )


def test_a_healthy_table_has_no_finding(make_database: Callable[..., Database], fork_module: RunModule) -> None:
    database = make_database(indexed)
    before = dump(database)
    assert findings(fork_module, database.url) == {}
    assert dump(database) == before


def test_a_missing_index_is_found(processing_tasks: Database, fork_module: RunModule) -> None:
    found = findings(fork_module, processing_tasks.url)
    assert set(found) == {"index_missing"}
    assert "completed_at" in found["index_missing"]["fix"]


def test_a_foreign_key_is_found_and_whether_it_has_an_index(
    make_database: Callable[..., Database], fork_module: RunModule
) -> None:
    database = make_database(referenced)
    found = findings(fork_module, database.url)
    assert "invoices (task_id)" in found["referenced"]["message"]
    # MariaDB makes the index by itself.
    assert ("reference_without_index" in found) is (database.kind != "mariadb")
    database.execute("CREATE INDEX by_task ON invoices (task_id)")
    assert set(findings(fork_module, database.url)) == {"referenced"}


def test_a_missing_right_is_found(postgresql_database: Database, fork_module: RunModule) -> None:
    indexed(postgresql_database)
    found = findings(fork_module, postgresql_database.viewer_url)
    assert set(found) == {"rights_missing"}
    assert found["rights_missing"]["severity"] == "error"
    assert "UPDATE, DELETE" in found["rights_missing"]["message"]


def test_an_empty_database_is_told(database: Database, fork_module: RunModule) -> None:
    assert set(findings(fork_module, database.url)) == {"no_record_table"}


def test_a_server_that_is_away_is_a_finding(fork_module: RunModule) -> None:
    found = findings(fork_module, "postgresql://shop:very-secret@127.0.0.1:1/shop")
    assert set(found) == {"database_unreachable"}
    assert "very-secret" not in str(found)


def scheduled(database: Database) -> None:
    create_django_celery_beat(database)
    Application(database, beat=True).make_schedule(
        {"name": "often", "task": "shop.tasks.report", "crontab": "* * * * *", "timezone": "Europe/Berlin"},
        {"name": "off", "task": "shop.tasks.report", "crontab": "* * * * *", "enabled": False},
    )


@pytest.mark.parametrize(("last_run", "late"), [("2020-01-01 00:00:00", True), ("2999-01-01 00:00:00", False)])
def test_a_beat_that_does_not_send_is_found(
    make_database: Callable[..., Database], fork_module: RunModule, last_run: str, late: bool
) -> None:
    database = make_database(scheduled)
    database.execute(
        f"UPDATE django_celery_beat_periodictask SET last_run_at = '{last_run}', date_changed = '2020-01-01 00:00:00'"
    )
    found = findings(fork_module, database.url)
    assert ("beat_not_scheduling" in found) is late
    if late:
        assert "often" in found["beat_not_scheduling"]["message"]
        assert "off" not in found["beat_not_scheduling"]["message"].split()
