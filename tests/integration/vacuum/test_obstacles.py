# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way: who still sees dead rows is named, and nothing is locked or filled up for a rebuild."""

# Only under Ansible's name for the collection is the engine found, and mypy does not look there for the tests.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from support.running import ModuleRun
from support.servers import Database, PostgreSQL
from support.tables import bloat, create_processing_tasks, fill_processing_tasks
from support.waiting import wait_until

RunModule = Callable[..., ModuleRun]
MakeDatabase = Callable[..., Database]
FULL = {"mode": "full", "confirm": "processing_tasks"}
UNSEEN = "how much room the server's disk has cannot be seen from here, so it was not looked at"


def _tasks(database: Database) -> None:
    create_processing_tasks(database)
    fill_processing_tasks(database)


def _arguments(database: Database, **own: Any) -> dict[str, Any]:
    return {"profile": "processing_tasks", "database_url": database.url, **own}


@pytest.fixture(scope="module")
def preparing() -> Iterator[PostgreSQL]:
    """A server that keeps prepared transactions."""
    from conftest import provide

    with provide(lambda: PostgreSQL({"max_prepared_transactions": "5"})) as server:
        yield server


@pytest.fixture
def tasks(preparing: PostgreSQL) -> Iterator[Database]:
    database = preparing.filled_database(_tasks, _tasks)[0]
    yield database
    database.drop()


def _held(run: ModuleRun) -> list[dict[str, Any]]:
    assert not run.get("failed"), run
    for holder in run["held_back_by"]:
        assert set(holder) == {"kind", "pid", "name", "state", "seconds", "transactions"}
        assert holder["transactions"] >= 0
    return list(run["held_back_by"])


@pytest.mark.parametrize("mode", ["auto", "vacuum"])
def test_who_still_sees_dead_rows_is_named(tasks: Database, fork_module: RunModule, mode: str) -> None:
    arguments = _arguments(tasks, mode=mode)
    engines = [tasks.engine(connect_args={"application_name": name}) for name in ("nightly-export", "importer")]
    with engines[0].connect() as export, engines[1].connect() as importer:
        importer.execute(sa.text("CREATE TABLE beside (id integer)"))  # it has written, and has no snapshot now
        export.execution_options(isolation_level="REPEATABLE READ")
        export_pid = export.scalar(sa.text("SELECT pg_backend_pid() FROM processing_tasks LIMIT 1"))
        importer_pid = importer.scalar(sa.text("SELECT pg_backend_pid()"))
        bloat(tasks)
        for check in (True, False):
            run = fork_module("results_vacuum", arguments, check=check)
            held = [(one["kind"], one["pid"], one["name"], one["state"]) for one in _held(run)]
            assert sorted(held) == sorted(
                [
                    ("session", export_pid, "nightly-export", "idle in transaction"),
                    ("session", importer_pid, "importer", "idle in transaction"),
                ]
            )
            assert "Keeps dead rows from being removed: session " in run["report"][-1]
        assert (run["changed"], run["steps"]) == (False, [])
        assert "28,000 dead rows could not be removed: session " in run["left_out"]
        export.rollback()
        # One of them is enough.
        run = fork_module("results_vacuum", arguments)
        assert [one["name"] for one in _held(run)] == ["importer"]
        importer.rollback()
    for engine in engines:
        engine.dispose()
    run = fork_module("results_vacuum", arguments)
    assert (run["changed"], _held(run)) == (True, [])


def test_sessions_in_other_databases_do_not_count(
    preparing: PostgreSQL, tasks: Database, fork_module: RunModule
) -> None:
    other = preparing.new_database()
    engine = other.engine()
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as elsewhere:
        elsewhere.execute(sa.text("SELECT count(*) FROM pg_class"))
        bloat(tasks)
        assert _held(fork_module("results_vacuum", _arguments(tasks), check=True)) == []
        done = fork_module("results_vacuum", _arguments(tasks))
        assert (done["changed"], done["after"]["dead_rows"], _held(done)) == (True, 0, [])
        elsewhere.rollback()
    engine.dispose()
    other.drop()


def test_a_prepared_transaction_is_named(tasks: Database, fork_module: RunModule) -> None:
    engine = tasks.engine(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("BEGIN"))
        connection.execute(sa.text("DELETE FROM processing_tasks WHERE id = 1"))
        connection.execute(sa.text("PREPARE TRANSACTION 'left by a broker'"))
        bloat(tasks)
        run = fork_module("results_vacuum", _arguments(tasks))
        assert (run["changed"], run["steps"]) == (False, [])
        assert [(one["kind"], one["name"], one["pid"]) for one in _held(run)] == [
            ("prepared transaction", "left by a broker", None)
        ]
        assert "could not be removed: prepared transaction left by a broker (for " in run["left_out"]
        connection.execute(sa.text("ROLLBACK PREPARED 'left by a broker'"))
    engine.dispose()
    assert fork_module("results_vacuum", _arguments(tasks))["changed"] is True


def test_nobody_s_rows_are_locked_away_while_others_wait(tasks: Database, fork_module: RunModule) -> None:
    bloat(tasks)
    size = tasks.scalar("SELECT pg_total_relation_size('processing_tasks')")

    def wait_for_the_table() -> None:
        engine = tasks.engine()
        with engine.begin() as connection:
            connection.execute(sa.text("LOCK TABLE processing_tasks IN SHARE MODE"))
        engine.dispose()

    engine = tasks.engine()
    with ThreadPoolExecutor() as pool, engine.connect() as writer:
        writer.execute(sa.text("UPDATE processing_tasks SET progress = 1 WHERE id = 1"))
        waiting = pool.submit(wait_for_the_table)
        waiters = "SELECT pid FROM pg_locks WHERE relation = to_regclass('processing_tasks') AND NOT granted"
        wait_until(lambda: tasks.execute(waiters))
        ((waiter,),) = tasks.execute(waiters)
        for check in (True, False):
            refused = fork_module("results_vacuum", _arguments(tasks, **FULL), check=check)
            assert (refused["failed"], refused["changed"]) == (True, False)
            assert f"Session {waiter} waits for a lock of processing_tasks" in refused["msg"]
            assert "Run it again when no session waits." in refused["msg"]
        writer.rollback()
        waiting.result()
    engine.dispose()
    assert tasks.scalar("SELECT pg_total_relation_size('processing_tasks')") == size
    assert fork_module("results_vacuum", _arguments(tasks, **FULL))["changed"] is True


def test_it_says_where_the_disk_cannot_be_seen(tasks: Database, fork_module: RunModule) -> None:
    """The folder of the data is shown only to those who may read all settings."""
    bloat(tasks)
    plan = fork_module("results_vacuum", _arguments(tasks, **FULL), check=True)
    assert plan["notes"] == [UNSEEN]
    tasks.administer("GRANT pg_read_all_settings TO app")
    try:
        seen = fork_module("results_vacuum", _arguments(tasks, **FULL), check=True)
    finally:
        tasks.administer("REVOKE pg_read_all_settings FROM app")
    # Only the server's user and root may look into it.
    assert seen["notes"] == ([] if os.geteuid() == 0 else [UNSEEN])
    assert seen["steps"] == plan["steps"] == ["VACUUM (FULL, ANALYZE)"]


def test_a_full_disk_is_minded(make_database: MakeDatabase) -> None:
    from ansible_collections.fleetops.celery.plugins.module_utils._engine import disk, reclaim, reclaim_plan
    from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database as Opened
    from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import DatabaseError
    from ansible_collections.fleetops.celery.plugins.module_utils._engine.profiles import find_profile
    from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable

    database = make_database(_tasks)
    with Opened(database.admin_url) as opened:
        record = RecordTable(opened, find_profile("processing_tasks"))
        free = disk.free_disk(opened, record.table)
        if free is None:
            assert os.geteuid() != 0
            return
        folder = os.path.dirname(database.url.removeprefix("sqlite:///")) if database.kind == "sqlite" else None
        assert free == pytest.approx(shutil.disk_usage(folder or database.server.folder).free, rel=0.05)  # type: ignore[attr-defined]
        # No disk has room for that.
        for mode in ("full", "auto"):
            plan = reclaim_plan.Plan([reclaim_plan.Step("copy", str)], copy_bytes=2**70)
            if mode == "full":
                with pytest.raises(
                    DatabaseError, match=r"was not rebuilt: the copy would take about .* Make room first"
                ):
                    reclaim._mind_the_disk(opened, record, mode, plan)
            else:
                reclaim._mind_the_disk(opened, record, mode, plan)
                assert (plan.steps, plan.notes) == ([], [])
                assert f"and the disk has {free:,}"[:20] in plan.left_out


def test_how_long_it_waits_for_others_can_be_said(postgresql_database: Database, fork_module: RunModule) -> None:
    _tasks(postgresql_database)
    arguments = _arguments(postgresql_database, mode="analyze")
    engine = postgresql_database.engine()
    with engine.connect() as other, ThreadPoolExecutor() as waiting:
        other.execute(sa.text("LOCK TABLE processing_tasks IN EXCLUSIVE MODE"))
        refused = fork_module("results_vacuum", {**arguments, "lock_timeout": "1s"})
        assert "Another session holds a lock" in refused["msg"]
        patient = waiting.submit(fork_module, "results_vacuum", {**arguments, "lock_timeout": "1m"})
        time.sleep(4)
        other.rollback()
        assert patient.result()["changed"] is True
    engine.dispose()
