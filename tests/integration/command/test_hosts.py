# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command under the oldest and newest Python and libraries of hosts, and without any."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import provide
from support.command import command_file, run_command
from support.hosts import HOSTS, HOSTS_AND_KINDS, url_on, without_libraries
from support.servers import Database
from support.tables import create_django_celery_results, fill
from support.tables.rows import TASK_RESULT, task_results


def _shop(database: Database) -> None:
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(30, days=30), task_results(2, "STARTED", days=30)])


@pytest.mark.parametrize(("host", "kind"), HOSTS_AND_KINDS)
def test_it_works_under_the_libraries_of_a_host(request: pytest.FixtureRequest, host: str, kind: str) -> None:
    python = provide(HOSTS[host][0])
    database: Database = request.getfixturevalue(kind).filled_database(_shop, _shop)[0]
    for options in (["stats"], ["run", "--dry-run"], ["run"], ["purge", "--json"], ["vacuum"], ["fail-zombies"]):
        done = run_command(*options, database=database, python=python, url=url_on(host, kind, database.url))
        assert (done.exit_code, done.err) == (0, ""), done
    assert database.count(TASK_RESULT) == 2
    database.drop()


def test_an_interpreter_without_libraries(tmp_path: Path, sqlite_database: Database) -> None:
    _shop(sqlite_database)
    done = run_command("run", database=sqlite_database, python=without_libraries(tmp_path / "bare"))
    assert (done.exit_code, done.out) == (1, "")
    assert "SQLAlchemy cannot be imported by" in done.err


def test_its_name_and_version(tmp_path: Path) -> None:
    assert command_file().name == "celery-cleanup"
    assert run_command("--version").out.startswith("celery-cleanup 1.")
