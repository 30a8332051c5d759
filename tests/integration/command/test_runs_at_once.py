# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs never work on one table at once, and one that is ended at any moment stands in nobody's way."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database as Opened
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import TableBusyError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.table_lock import table_lock
from support.archives import counted, end_sessions, left
from support.command import command_environment, command_line, run_command, write_policy
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database
from support.tables import Ago, create_django_celery_results, create_processing_tasks, dump, fill
from support.tables.rows import DAY, TASK_RESULT, processing_rows, task_results
from support.waiting import wait_until

RunModule = Callable[..., ModuleRun]
_DEFAULT_SCHEMA = {"postgresql": "public", "sqlite": "main"}


def _rows(database: Database) -> None:
    create_django_celery_results(database)
    create_processing_tasks(database)
    # Of different ages, so that already the first batch takes some.
    fill(database, TASK_RESULT, [task_results(200, date_done=Ago(40 * DAY, 30 * DAY))])
    fill(database, "processing_tasks", [processing_rows(20, days=60)])


@pytest.fixture
def rows(make_database: Callable[..., Database]) -> Database:
    return make_database(_rows)


@contextmanager
def _slow_run(database: Database, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has deleted rows of the first table, and will take minutes to delete the others."""
    limits = {"batch_size": 10, "pause": "10s"}
    policy = write_policy(folder / "slow.json", {"limits": limits})
    status = folder / "status.json"
    process = subprocess.Popen(
        command_line("run", "--policy", policy, "--status-file", str(status)),
        env=command_environment(database),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As on a terminal, however the tests were started: what runs in a shell's background ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_until(lambda: database.count(TASK_RESULT) < 200)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_second_leaves_the_table_to_the_first(rows: Database, tmp_path: Path) -> None:
    with _slow_run(rows, tmp_path) as first:
        there = rows.count(TASK_RESULT)
        second = run_command("run", database=rows)
        assert second.exit_code == 3
        assert f"Left: {TASK_RESULT}: " in second.err
        assert re.search(rf"another run is cleaning {TASK_RESULT} \((session|process) \d+ ", second.err)
        assert second.out.splitlines()[-1].startswith("Stopped early, rows are left")
        # The other table is free.
        assert rows.count("processing_tasks") == 0
        assert rows.count(TASK_RESULT) == there
        # Who only reads need not wait.
        assert run_command("run", "--dry-run", database=rows).exit_code == 0
        assert first.poll() is None


def test_the_lock_of_a_killed_run_is_free(rows: Database, tmp_path: Path) -> None:
    with _slow_run(rows, tmp_path) as first:
        first.kill()
        first.wait()
        wait_until(lambda: run_command("run", database=rows).exit_code == 0)
    assert rows.count(TASK_RESULT) == 0


#: What changes a table, with what it would do to the rows here.
CHANGING: dict[str, dict[str, Any]] = {
    "results_purge": {"rules": [{"older_than": "1d"}]},
    "zombie_fail": {"rules": [{"statuses": ["STARTED"], "older_than": "1s"}]},
    "results_vacuum": {"mode": "vacuum"},
    "results_index": {},
}


def test_modules_leave_the_table_to_the_command(rows: Database, fork_module: RunModule, tmp_path: Path) -> None:
    arguments = {"database_url": rows.url}
    holder = (
        f"process \\d+ at {re.escape(socket.gethostname())}" if rows.kind == "sqlite" else r"session \d+ of app at \S"
    )
    with _slow_run(rows, tmp_path) as first:
        before = dump(rows)
        for module, options in CHANGING.items():
            run = fork_module(module, {**arguments, **options})
            assert (run.get("failed"), run["changed"]) == (True, False), run
            assert re.search(rf"another run is cleaning {TASK_RESULT} \({holder}.*\)", run["msg"]), run["msg"]
            # Who only reads need not wait, and the other table is free.
            assert not fork_module(module, {**arguments, **options}, check=True).get("failed")
        assert not fork_module("results_info", arguments).get("failed")
        assert dump(rows) == before
        other = fork_module("results_purge", {**arguments, "profile": "processing_tasks"})
        assert (other["deleted"], first.poll()) == (20, None)


def test_the_command_and_a_module_leave_the_table_to_a_module(rows: Database, run_module: RunModule) -> None:
    slowly = {"database_url": rows.url, "batch_size": 50, "pause": "1s"}
    with ThreadPoolExecutor() as pool:
        first = pool.submit(run_module, "results_purge", slowly)
        wait_until(lambda: rows.count(TASK_RESULT) < 200 or first.done())
        second = run_module("results_purge", {"database_url": rows.url})
        assert run_command("run", database=rows).exit_code == 3
        assert "another run is cleaning" in second["msg"]
        assert first.result()["deleted"] == 200
    # One after the other is no overlap.
    for module, options in CHANGING.items():
        assert not run_module(module, {"database_url": rows.url, **options}).get("failed")


def test_a_restore_leaves_the_table_too(rows: Database, fork_module: RunModule, tmp_path: Path) -> None:
    archive = {"path": str(tmp_path)}
    assert fork_module("results_purge", {"database_url": rows.url, "archive": archive})["deleted"] == 200
    fill(rows, TASK_RESULT, [task_results(200, date_done=Ago(40 * DAY, 30 * DAY))])
    with _slow_run(rows, tmp_path):
        run = fork_module("results_restore", {"database_url": rows.url, **archive})
        assert f"another run is cleaning {TASK_RESULT}" in run["msg"]
        assert fork_module("results_restore", {"database_url": rows.url, **archive}, check=True)["changed"]
    assert fork_module("results_restore", {"database_url": rows.url, **archive})["restored"] == 200


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_run_whose_connection_is_opened_again_has_the_lock_again(
    request: pytest.FixtureRequest, run_module: RunModule, kind: str
) -> None:
    database: Database = request.getfixturevalue(f"{kind}_database")
    _rows(database)
    slowly = {"database_url": database.url, "batch_size": 50, "pause": "1s"}
    with ThreadPoolExecutor() as pool:
        first = pool.submit(run_module, "results_purge", slowly)
        wait_until(lambda: database.count(TASK_RESULT) < 200 or first.done())
        assert end_sessions(database)
        there = database.count(TASK_RESULT)
        wait_until(lambda: database.count(TASK_RESULT) < there or first.done())
        assert "another run is cleaning" in run_module("results_purge", {"database_url": database.url})["msg"]
        assert (first.result()["deleted"], first.result()["stopped"]) == (200, "drained")


def test_a_lock_is_given_back_before_the_connection_ends(rows: Database) -> None:
    with Opened(rows.url) as first, Opened(rows.url) as second:
        for _time in range(2):
            with table_lock(first, TASK_RESULT):
                with table_lock(first, "processing_tasks"):
                    pass
                with pytest.raises(TableBusyError, match=TASK_RESULT), table_lock(second, TASK_RESULT):
                    pass
                with table_lock(second, "processing_tasks"):
                    pass
            qualified = f"{_DEFAULT_SCHEMA.get(rows.kind, rows.name)}.{TASK_RESULT}"
            with table_lock(first, TASK_RESULT), pytest.raises(TableBusyError), table_lock(second, qualified):
                pass
            with table_lock(first, f"other.{TASK_RESULT}"), table_lock(second, qualified):
                pass
    if rows.kind == "sqlite":
        assert list(Path(str(sa.make_url(rows.url).database)).parent.glob("*.lock")) == []


def test_two_purges_that_overlap_after_all_take_no_row_twice(rows: Database, tmp_path: Path) -> None:
    """As behind a pooler, which may let the lock go: the engine's own purge, which takes none."""
    fill(rows, TASK_RESULT, [task_results(800, days=30), task_results(50, days=0)])
    original = left(rows)
    folders = [tmp_path / name for name in ("one", "two")]
    with ThreadPoolExecutor() as pool:
        runs = []
        for folder in folders:
            folder.mkdir()
            archive = {"path": str(folder), "compression": "gzip"}
            runs.append(pool.submit(purge, rows, archive=archive, batch_size=20, pause=0.02, lock_timeout=5))
        done = [run.result() for run in runs]
    assert counted(folders[0]) + counted(folders[1]) + left(rows) == original
    assert (sum(run["deleted"] for run in done), rows.count(TASK_RESULT)) == (1000, 50)
    assert all(run["deleted"] for run in done)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_run_that_is_ended_says_so(rows: Database, tmp_path: Path, number: signal.Signals) -> None:
    with _slow_run(rows, tmp_path) as run:
        run.send_signal(number)
        out, err = run.communicate(timeout=30)
        assert run.returncode == 3
    assert "Interrupted. What was committed by then is done" in err
    assert "Traceback" not in out + err
    told = json.loads((tmp_path / "status.json").read_text())
    assert told["exit_code"] == 3
    assert 0 < rows.count(TASK_RESULT) < 200
    assert run_command("run", database=rows).exit_code == 0
