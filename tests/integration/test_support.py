# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' own parts: a fixture that builds nothing would let every test over it pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, ProgrammingError
from support.servers import Database, PostgreSQL
from support.servers.base import open_engine
from support.tables import Ago, Rows, UniqueText, fill

DAY = 86_400.0
BACKENDS = [
    pytest.param({"backend": "django-db", "results_version": "2.5.1"}, id="django-2.5.1"),
    pytest.param({"backend": "django-db", "serializer": "pickle", "results_version": "2.6.0"}, id="django-pickle"),
    pytest.param({"backend": "database", "result_extended": False}, id="database"),
    pytest.param({"backend": "database", "celery_version": "5.6.3"}, id="database-5.6"),
]


def _with_rows(database: Database) -> Database:
    database.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, text VARCHAR(40))")
    database.execute("INSERT INTO kept VALUES (1, '50% done'), (2, 'a: b')")
    return database


def test_a_copy_of_a_database_has_its_tables_and_rows(database: Database) -> None:
    _with_rows(database)
    copy = database.server.new_database(template=database)
    assert copy.execute("SELECT id, text FROM kept ORDER BY id") == [(1, "50% done"), (2, "a: b")]
    copy.execute("DELETE FROM kept")
    assert (copy.count("kept"), database.count("kept")) == (0, 2)
    copy.drop()


def test_a_viewer_reads_and_changes_nothing(role_database: Database) -> None:
    _with_rows(role_database)
    with open_engine(role_database.viewer_url).begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM kept")) == 2
    with (
        pytest.raises((OperationalError, ProgrammingError), match="denied"),
        open_engine(role_database.viewer_url).begin() as connection,
    ):
        connection.execute(sa.text("DELETE FROM kept"))


def test_the_owner_needs_the_right_password(role_database: Database) -> None:
    wrong = sa.make_url(role_database.url).set(password="wrong")
    with pytest.raises(OperationalError, match=r"password|denied"):
        open_engine(wrong).connect()


def test_a_postgresql_database_can_have_a_time_zone(postgresql: PostgreSQL) -> None:
    database = postgresql.new_database(time_zone="America/New_York")
    assert database.scalar("SHOW timezone") == "America/New_York"
    database.drop()


def test_the_migrations_of_both_versions_differ_in_a_column(dcr: Database, results_version: str) -> None:
    with dcr.begin() as connection:
        columns = {column["name"] for column in sa.inspect(connection).get_columns("django_celery_results_taskresult")}
    assert {"task_id", "status", "task_name", "date_created", "date_done"} <= columns
    assert ("date_started" in columns) is (results_version == "2.6.0")


def test_filled_rows_have_the_ages_and_the_order_asked_for(dcr: Database) -> None:
    shared = {
        "task_id": UniqueText(),
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "date_created": Ago(10 * DAY, 0),
    }
    groups = [
        Rows(900, {**shared, "status": "SUCCESS", "date_done": Ago(10 * DAY, 0, plus=5)}),
        Rows(100, {**shared, "status": "FAILURE", "date_done": Ago(10 * DAY, 0, plus=5)}),
    ]
    assert fill(dcr, "django_celery_results_taskresult", groups, order_by="date_created") == 1000
    rows = dcr.execute("SELECT date_created, status FROM django_celery_results_taskresult ORDER BY id")
    created = [str(moment) for moment, _status in rows]
    assert created == sorted(created)
    assert [status for _created, status in rows].count("FAILURE") == 100
    # The failures are spread over the successes, not put behind them.
    assert "FAILURE" in {status for _created, status in rows[:100]}


def test_tables_of_applications_are_made(
    processing_tasks: Database, task_logs: Database, reading_sessions: Database, celery_tables: Database
) -> None:
    assert processing_tasks.count("processing_tasks") == 0
    assert task_logs.count("task_execution_history") == 0
    assert reading_sessions.count("reading_sessions") == 0
    rows = [Rows(5, {"task_id": UniqueText(), "status": "SUCCESS", "date_done": Ago(DAY)})]
    assert fill(celery_tables, "celery_taskmeta", rows, clock="celery") == 5


@pytest.mark.parametrize("options", BACKENDS)
def test_a_killed_worker_leaves_rows_which_the_application_reads(
    worker_rows: Callable[..., Any], options: dict[str, Any]
) -> None:
    left = worker_rows(**options)
    read = left.application.read(left.ids.failure)
    assert (read.state, read.exception_message) == ("FAILURE", "no tea left")
    assert left.application.read(left.ids.success).value == 5
    table = "celery_taskmeta" if options["backend"] == "database" else "django_celery_results_taskresult"
    assert dict(left.database.execute(f"SELECT status, count(*) FROM {table} GROUP BY status")) == {
        "SUCCESS": 8,
        "FAILURE": 1,
        "REVOKED": 1,
        "STARTED": 2,
    }


def test_a_playbook_run_tells_results_and_recap(run_playbook: Callable[..., Any], tmp_path: Path) -> None:
    playbook = tmp_path / "ping.yml"
    playbook.write_text("[{hosts: all, gather_facts: false, tasks: [{ansible.builtin.ping: {data: '{{ word }}'}}]}]")
    run = run_playbook(playbook, extra_vars={"word": "hello", "ansible_connection": "local"})
    assert run.exit_code == 0, run.output
    assert [result["ping"] for result in run.results("ansible.builtin.ping")] == ["hello"]
    assert run.recap["localhost"]["ok"] == 1
