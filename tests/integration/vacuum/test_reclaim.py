# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving back space: what it says against what the server says, and nothing where there is nothing to gain."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from support.running import ModuleRun
from support.servers import Database
from support.tables import bloat, create_processing_tasks, dump, fill_processing_tasks
from support.tables.bloat import KEPT

RunModule = Callable[..., ModuleRun]
MakeDatabase = Callable[..., Database]

TASKS = {"profile": "processing_tasks"}
CONFIRM = {"mode": "full", "confirm": "processing_tasks"}
STEPS = {
    ("postgresql", "auto"): "VACUUM (ANALYZE)",
    ("postgresql", "vacuum"): "VACUUM (ANALYZE)",
    ("postgresql", "full"): "VACUUM (FULL, ANALYZE)",
    ("mariadb", "auto"): "OPTIMIZE TABLE",
    ("mariadb", "vacuum"): "OPTIMIZE TABLE",
    ("mariadb", "full"): "ALTER TABLE … FORCE",
    ("sqlite", "auto"): "VACUUM (the whole file)",
    ("sqlite", "vacuum"): "VACUUM (the whole file)",
    ("sqlite", "full"): "VACUUM (the whole file)",
}


def _tasks(database: Database) -> None:
    create_processing_tasks(database)
    fill_processing_tasks(database)


def _bytes(database: Database) -> int:
    """Of the table with its indexes, as the server itself says; of the file on SQLite."""
    if database.kind == "postgresql":
        return int(database.scalar("SELECT pg_total_relation_size('processing_tasks')"))
    if database.kind == "mariadb":
        return int(
            database.scalar(
                "SELECT data_length + index_length FROM information_schema.tables"
                " WHERE table_schema = DATABASE() AND table_name = 'processing_tasks'"
            )
        )
    return os.stat(str(sa.make_url(database.url).database)).st_size


def _arguments(database: Database, mode: str) -> dict[str, Any]:
    return {**TASKS, "database_url": database.url, **(CONFIRM if mode == "full" else {"mode": mode})}


@pytest.mark.parametrize("mode", ["auto", "vacuum", "full"])
def test_space_is_given_back_once(make_database: MakeDatabase, fork_module: RunModule, mode: str) -> None:
    database = make_database(_tasks)
    bloat(database)
    rows, size = dump(database), _bytes(database)
    arguments = _arguments(database, mode)

    plan = fork_module("results_vacuum", arguments, check=True, diff=True)
    assert (plan["changed"], plan["steps"]) == (True, [STEPS[database.kind, mode]])
    assert plan["before"] == plan["after"]
    assert plan["report"][0].startswith("processing_tasks: would run ")
    assert _bytes(database) == size

    done = fork_module("results_vacuum", arguments, diff=True)
    assert (done["changed"], done["steps"], done["left_out"]) == (True, plan["steps"], "")
    if database.kind != "sqlite":
        # SQLite's file holds more than the table.
        assert done["before"]["size_bytes"] == size
        assert done["after"]["size_bytes"] == _bytes(database)
    assert done["reclaimed_bytes"] == max(0, done["before"]["size_bytes"] - done["after"]["size_bytes"])
    if database.kind == "postgresql":
        assert (done["before"]["dead_rows"], done["after"]["dead_rows"]) == (28_000, 0)
    if mode == "full" and database.kind != "mariadb":
        assert _bytes(database) < size / 5
    assert dump(database) == rows
    assert len(rows["processing_tasks"]) == KEPT

    for check in (True, False):
        again = fork_module("results_vacuum", arguments, check=check)
        assert (again["changed"], again["steps"]) == (False, [])
        assert again["left_out"]
        assert again["report"] == [f"processing_tasks: nothing to reclaim, {again['left_out']}"]


@pytest.mark.parametrize("database_server", ["postgresql", "sqlite"], indirect=True)
def test_statistics_are_brought_up_to_date_once(make_database: MakeDatabase, fork_module: RunModule) -> None:
    # MariaDB does it by itself, so there is never anything to do.
    database = make_database(_tasks)
    bloat(database)
    rows = dump(database)
    plan = fork_module("results_vacuum", _arguments(database, "analyze"), check=True)
    done = fork_module("results_vacuum", _arguments(database, "analyze"))
    assert (plan["changed"], plan["steps"], done["changed"], done["steps"]) == (True, ["ANALYZE"], True, ["ANALYZE"])
    again = fork_module("results_vacuum", _arguments(database, "analyze"))
    assert (again["changed"], again["steps"]) == (False, [])
    assert dump(database) == rows


def test_little_is_left_alone(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_tasks)
    if database.kind == "postgresql":
        # A copy of a database is without the server's counts.
        database.execute("ANALYZE processing_tasks")
    database.execute("DELETE FROM processing_tasks WHERE id > 29900")
    for mode in ("auto", "vacuum", "full"):
        result = fork_module("results_vacuum", _arguments(database, mode))
        assert (result["changed"], result["steps"], result["reclaimed_bytes"]) == (False, [], 0)


@pytest.mark.parametrize("database_server", ["postgresql"], indirect=True)
def test_how_much_is_little_can_be_said(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_tasks)
    # A copy of a database is without the server's counts.
    database.execute("ANALYZE processing_tasks")
    database.execute("DELETE FROM processing_tasks WHERE id > 29000")
    refused = fork_module("results_vacuum", {**_arguments(database, "vacuum"), "min_dead_percent": 5})
    assert (refused["changed"], refused["left_out"]) == (False, "3 % of the rows are dead, less than 5 %")
    done = fork_module("results_vacuum", {**_arguments(database, "vacuum"), "min_dead_percent": 2})
    assert done["changed"] is True


@pytest.mark.parametrize("database_server", ["postgresql"], indirect=True)
def test_a_session_that_still_sees_the_rows_is_named(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_tasks)
    engine = database.engine(connect_args={"application_name": "nightly-export"})
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as export:
        pid = export.scalar(sa.text("SELECT pg_backend_pid() FROM processing_tasks LIMIT 1"))
        bloat(database)
        held = fork_module("results_vacuum", _arguments(database, "vacuum"))
        assert (held["changed"], held["steps"], held["reclaimed_bytes"]) == (False, [], 0)
        assert "28,000 dead rows could not be removed" in held["left_out"]
        assert f"session {pid} (nightly-export, idle in transaction, for " in held["left_out"]
        export.rollback()
    engine.dispose()
    assert fork_module("results_vacuum", _arguments(database, "vacuum"))["changed"] is True


def test_full_without_the_table_s_name_is_refused(make_database: MakeDatabase, fork_module: RunModule) -> None:
    database = make_database(_tasks)
    bloat(database)
    size = _bytes(database)
    for confirm in ({}, {"confirm": "tasks"}):
        refused = fork_module("results_vacuum", {**TASKS, "database_url": database.url, "mode": "full", **confirm})
        assert refused["failed"] is True
        assert "set confirm to the table's name: processing_tasks" in refused["msg"]
    assert _bytes(database) == size


def test_a_table_beside_it_is_left_alone(postgresql_database: Database, fork_module: RunModule) -> None:
    _tasks(postgresql_database)
    postgresql_database.execute("CREATE TABLE beside AS SELECT * FROM processing_tasks")
    postgresql_database.execute("DELETE FROM beside")
    size = postgresql_database.scalar("SELECT pg_total_relation_size('beside')")
    bloat(postgresql_database)
    assert fork_module("results_vacuum", _arguments(postgresql_database, "full"))["changed"] is True
    assert postgresql_database.scalar("SELECT pg_total_relation_size('beside')") == size
