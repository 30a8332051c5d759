# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs never work on one table at once, and one that is ended at any moment stands in nobody's way."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command import command_environment, command_line, run_command, write_policy
from support.servers import Database
from support.tables import create_django_celery_results, create_processing_tasks, fill
from support.tables.rows import TASK_RESULT, processing_rows, task_results
from support.waiting import wait_until


def _rows(database: Database) -> None:
    create_django_celery_results(database)
    create_processing_tasks(database)
    fill(database, TASK_RESULT, [task_results(200, days=30)])
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
        left = rows.count(TASK_RESULT)
        second = run_command("run", database=rows)
        assert second.exit_code == 3
        assert f"Left: {TASK_RESULT}: " in second.err
        assert f"another run is cleaning {TASK_RESULT}" in second.err
        assert second.out.splitlines()[-1].startswith("Stopped early, rows are left")
        # The other table is free.
        assert rows.count("processing_tasks") == 0
        assert rows.count(TASK_RESULT) == left
        # Who only reads need not wait.
        assert run_command("run", "--dry-run", database=rows).exit_code == 0
        assert first.poll() is None


def test_the_lock_of_a_killed_run_is_free(rows: Database, tmp_path: Path) -> None:
    with _slow_run(rows, tmp_path) as first:
        first.kill()
        first.wait()
        wait_until(lambda: run_command("run", database=rows).exit_code == 0)
    assert rows.count(TASK_RESULT) == 0


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
