# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interpreters that lack a library: where another one has it the module goes there, else the error says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import provide
from support.hosts import DISTRIBUTION, NEWEST_HOST, OLDEST_HOST, can_import, with_libraries, without_libraries
from support.servers import Database
from support.tables import Ago, Rows, create_processing_tasks, fill

RunThroughAnsible = Callable[..., Any]
OWN_VENV = ".local/share/fleetops-celery/venv"


@pytest.fixture
def psycopg_url(postgresql_database: Database) -> str:
    """A URL that needs a driver which the system's Python lacks: the module would find it there."""
    if can_import(DISTRIBUTION, "sqlalchemy, psycopg"):
        pytest.skip(f"{DISTRIBUTION} has psycopg, so no driver is missing")
    create_processing_tasks(postgresql_database)
    row = {"task_type": "DOWNLOAD", "created_at": Ago(86_400.0), "status": "PENDING"}
    fill(postgresql_database, "processing_tasks", [Rows(3, row)])
    return postgresql_database.url.replace("postgresql://", "postgresql+psycopg://", 1)


def _run(run: RunThroughAnsible, python: Path, home: Path, url: str) -> tuple[dict[str, Any], bool]:
    arguments = {"database_url": url, "profile": "processing_tasks"}
    env = {"ANSIBLE_PYTHON_INTERPRETER": str(python), "HOME": str(home)}
    result, play = run("zombie_fail", arguments, env=env, verbosity=3)
    assert "Traceback" not in play.output
    return result, play.tasks[-1]["outcome"] == "failed"


def test_without_sqlalchemy_the_error_names_it_the_interpreter_and_the_role(
    psycopg_url: str, run_through_ansible: RunThroughAnsible, tmp_path: Path
) -> None:
    bare = without_libraries(tmp_path / "bare")
    result, failed = _run(run_through_ansible, bare, tmp_path, psycopg_url)
    assert failed
    assert result["changed"] is False
    assert result["msg"].startswith(f"SQLAlchemy cannot be imported by {bare}. ")
    for word in (
        "The role fleetops.celery.prerequisites installs it",
        "pip install 'SQLAlchemy'",
        "python3-sqlalchemy",
    ):
        assert word in result["msg"]


def test_without_a_driver_the_error_names_it_the_interpreter_and_the_role(
    psycopg_url: str, run_through_ansible: RunThroughAnsible, tmp_path: Path
) -> None:
    python = provide(lambda: with_libraries(OLDEST_HOST))
    result, failed = _run(run_through_ansible, python, tmp_path, psycopg_url)
    assert failed
    assert result["changed"] is False
    assert result["msg"].startswith(f"A driver for postgresql (psycopg) cannot be imported by {python}. ")
    for word in ("The role fleetops.celery.prerequisites installs it", "'psycopg[binary]'", "python3-psycopg"):
        assert word in result["msg"]


@pytest.mark.parametrize("lacking", ["everything", "driver"])
def test_a_module_goes_on_in_the_virtual_environment_of_the_collection(
    psycopg_url: str,
    postgresql_database: Database,
    run_through_ansible: RunThroughAnsible,
    tmp_path: Path,
    lacking: str,
) -> None:
    prepared = provide(lambda: with_libraries(NEWEST_HOST))
    own = tmp_path / OWN_VENV
    own.parent.mkdir(parents=True)
    own.symlink_to(prepared.parent.parent, target_is_directory=True)
    if lacking == "everything":
        python = without_libraries(tmp_path / "bare")
    else:
        python = provide(lambda: with_libraries(OLDEST_HOST))
    result, failed = _run(run_through_ansible, python, tmp_path, psycopg_url)
    assert not failed, result
    assert (result["changed"], result["ended"]) == (True, 3)
    assert postgresql_database.scalar("SELECT count(*) FROM processing_tasks WHERE status = 'FAILURE'") == 3
