# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_repack, where it is installed, gives a table's space back beside those who work with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from support.running import ModuleRun
from support.servers import Database, PostgreSQL
from support.tables import bloat, create_processing_tasks, dump, fill_processing_tasks

RunModule = Callable[..., ModuleRun]


def _tasks(database: Database) -> None:
    create_processing_tasks(database)
    fill_processing_tasks(database)


@pytest.fixture
def bloated(packaged_postgresql: PostgreSQL) -> Iterator[Database]:
    database = packaged_postgresql.filled_database(_tasks, _tasks)[0]
    database.administer("CREATE EXTENSION pg_repack")
    bloat(database)
    yield database
    database.drop()


def _arguments(database: Database, **own: Any) -> dict[str, Any]:
    # pg_repack itself wants a superuser.
    return {"profile": "processing_tasks", "database_url": database.admin_url, **own}


def _size(database: Database) -> int:
    return int(database.scalar("SELECT pg_total_relation_size('processing_tasks')"))


def test_the_space_is_given_back_once(bloated: Database, fork_module: RunModule) -> None:
    rows, size = dump(bloated), _size(bloated)
    for check in (True, False):
        run = fork_module("results_vacuum", _arguments(bloated), check=check)
        assert not run.get("failed"), run
        assert (run["changed"], run["steps"]) == (True, ["pg_repack"])
        assert (_size(bloated) == size) is check
    assert run["reclaimed_bytes"] == size - _size(bloated) > size / 2
    assert dump(bloated) == rows
    assert run["after"]["dead_rows"] == 0
    assert bloated.scalar("SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass('processing_tasks')") == 0
    for check in (True, False):
        again = fork_module("results_vacuum", _arguments(bloated), check=check)
        assert (again["changed"], again["steps"]) == (False, [])


def test_what_a_purge_will_leave_is_foretold(packaged_postgresql: PostgreSQL, fork_module: RunModule) -> None:
    database = packaged_postgresql.filled_database(_tasks, _tasks)[0]
    database.administer("CREATE EXTENSION pg_repack")
    assert fork_module("results_vacuum", _arguments(database), check=True)["steps"] == []
    foretold = fork_module("results_vacuum", _arguments(database, expected_dead_rows=28_000), check=True)
    assert foretold["steps"] == ["pg_repack"]
    database.drop()


def test_a_table_that_somebody_reads_for_long_is_left_alone(bloated: Database, fork_module: RunModule) -> None:
    engine = bloated.engine(connect_args={"application_name": "nightly-export"})
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as export:
        export.execute(sa.text("SELECT 1"))
        run = fork_module("results_vacuum", _arguments(bloated), check=True)
        assert run["steps"] == ["VACUUM (ANALYZE)"]
        assert "pg_repack was left out: it would wait for session" in run["notes"][0]
        assert "nightly-export" in run["notes"][0]
        export.rollback()
    engine.dispose()
    assert fork_module("results_vacuum", _arguments(bloated), check=True)["steps"] == ["pg_repack"]


def test_a_user_for_whom_it_is_not_does_without(bloated: Database, fork_module: RunModule) -> None:
    run = fork_module("results_vacuum", _arguments(bloated, database_url=bloated.url))
    assert (run["changed"], run["steps"]) == (True, ["VACUUM (ANALYZE)"])
    bloated.administer("GRANT USAGE ON SCHEMA repack TO app")
    assert fork_module("results_vacuum", _arguments(bloated, database_url=bloated.url))["changed"] is False


def test_what_goes_wrong_is_told_in_its_words(bloated: Database, fork_module: RunModule) -> None:
    # Somebody else's copy of the table is in its way.
    size = _size(bloated)
    relation = bloated.scalar("SELECT CAST(oid AS text) FROM pg_class WHERE relname = 'processing_tasks'")
    bloated.administer(f"CREATE TABLE repack.log_{relation} (id integer)")
    run = fork_module("results_vacuum", _arguments(bloated))
    assert (run["failed"], run["changed"]) == (True, False)
    assert "pg_repack failed on processing_tasks: " in run["msg"]
    assert "Traceback" not in run.output
    assert str(sa.make_url(bloated.admin_url).password) not in run.output
    assert _size(bloated) == size


def test_other_modes_do_without(bloated: Database, fork_module: RunModule) -> None:
    assert fork_module("results_vacuum", _arguments(bloated, mode="vacuum"), check=True)["steps"] == [
        "VACUUM (ANALYZE)"
    ]
