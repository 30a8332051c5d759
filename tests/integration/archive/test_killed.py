# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever ends a run, each row is in the table or counts in an archive, and none is in both."""

# Only under Ansible's name for the collection is the engine found, and mypy does not look there for the tests.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from ansible_collections.fleetops.celery.plugins.module_utils._engine.archive_file import ArchiveFile
from support.archives import Held, counted, end_sessions, left, make_logs, settled
from support.engine import purge
from support.running import ModuleRun
from support.running.collection import clean_environment, link_checkout
from support.servers import Database
from support.tables import create_task_logs, dump, fill
from support.tables.rows import task_log_rows

MakeDatabase = Callable[..., Database]
RunModule = Callable[..., ModuleRun]
TESTS = Path(__file__).parents[2]


def _start(database: Database, folder: Path, **order: Any) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "support.archiving_program"],
        env=clean_environment({"PYTHONPATH": f"{TESTS}:{link_checkout()}"}),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    whole = {"url": database.url, "path": str(folder), "profile": "task_logs", "batch_size": 200, **order}
    process.stdin.write(json.dumps(whole))
    process.stdin.close()
    process.stdin = None
    return process


@pytest.mark.parametrize("moment", ["in the member", "before the commit", "after the commit"])
def test_killed_at_each_step(make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path, moment: str) -> None:
    database = make_database(make_logs)
    before, rows = dump(database), left(database)
    killed = _start(database, tmp_path, moment=moment, batch=3)
    assert killed.wait() == -signal.SIGKILL
    deleted = len(rows) - len(left(database))
    uncounted = deleted - counted(tmp_path).total()
    assert deleted > 0
    assert (uncounted > 0) == (moment == "after the commit")
    assert settled(database, tmp_path) == rows
    fork_module("results_restore", {"database_url": database.url, "path": str(tmp_path)})
    assert dump(database) == before


def test_restored_at_once_after_a_kill(make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path) -> None:
    # Nothing has settled what the run left: rows that the manifest does not count are put back too.
    database = make_database(make_logs)
    before = dump(database)
    assert _start(database, tmp_path, moment="after the commit", batch=3).wait() == -signal.SIGKILL
    fork_module("results_restore", {"database_url": database.url, "path": str(tmp_path)})
    assert dump(database) == before


@pytest.mark.parametrize("database_server", ["sqlite"], indirect=True)
def test_an_unfinished_archive_that_was_taken_away_holds_nobody_up(make_database: MakeDatabase, tmp_path: Path) -> None:
    database = make_database(make_logs)
    assert _start(database, tmp_path, moment="before the commit", batch=3).wait() == -signal.SIGKILL
    (data,) = tmp_path.glob("*.jsonl.*")
    data.unlink()
    done = purge(database, profile="task_logs", archive={"path": str(tmp_path)})
    assert (done["stopped"], database.count("task_logs")) == ("drained", 0)


def _reuse(database: Database, gone: Held) -> None:
    """Give a new record children with the numbers of those that have gone, as SQLite does."""
    fill(database, "task_logs", [task_log_rows(1, days=0)])
    for _table, number in (key for key in gone if key[0] == "task_execution_history"):
        database.execute(
            "INSERT INTO task_execution_history (id, task_id, attempt_number, status)"
            f" SELECT {number}, max(id), 1, 'new' FROM task_logs"
        )


def test_rows_that_have_the_numbers_of_archived_ones(make_database: MakeDatabase, tmp_path: Path) -> None:
    database = make_database(make_logs)
    rows = left(database)
    assert _start(database, tmp_path, moment="after the commit", batch=3, batch_size=50).wait() == -signal.SIGKILL
    still_there = left(database)
    _reuse(database, rows - still_there - counted(tmp_path))
    new = left(database) - still_there
    assert new.total() > 1
    assert settled(database, tmp_path) == rows + new


@pytest.mark.parametrize("count", [1, 5])
def test_a_sample_that_has_the_number_of_an_archived_one(
    make_database: MakeDatabase, tmp_path: Path, count: int
) -> None:
    database = make_database(create_task_logs)

    def sample(when: str) -> None:
        for number in range(1, count + 1):
            database.execute(f"INSERT INTO queue_stats VALUES ({number}, 'fast', {number}, '{when}')")

    sample("2020-01-01 00:00:00")
    assert _start(database, tmp_path, moment="after the commit", batch=1).wait() == -signal.SIGKILL
    assert database.count("queue_stats") == 0
    sample("2100-01-01 00:00:00")
    assert settled(database, tmp_path) == Counter({("queue_stats", number): 2 for number in range(1, count + 1)})


def test_restored_in_part_after_a_kill(make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path) -> None:
    database = make_database(make_logs)
    rows, tasks = left(database), dict(database.execute("SELECT id, task_id FROM task_logs"))
    assert _start(database, tmp_path, moment="after the commit", batch=3).wait() == -signal.SIGKILL
    still_there = left(database)
    chosen = max(number for name, number in rows - still_there if name == "task_logs")
    asked = {"database_url": database.url, "path": str(tmp_path), "task_ids": [tasks[chosen]]}
    assert fork_module("results_restore", asked)["restored"] == 3
    back = left(database) - still_there
    assert settled(database, tmp_path) == rows + back


def test_two_at_once(make_database: MakeDatabase, tmp_path: Path) -> None:
    database = make_database(make_logs)
    rows = left(database)
    both = [_start(database, tmp_path, batch_size=100) for _number in range(2)]
    for process in both:
        process.wait()
    assert settled(database, tmp_path) == rows


# MariaDB waits for each row of the batch a second, for its children are found by reading what is held.
@pytest.mark.parametrize("database_server", ["postgresql"], indirect=True)
def test_rows_that_another_session_holds(make_database: MakeDatabase, tmp_path: Path) -> None:
    database = make_database(make_logs)
    rows = left(database)
    # Met after the children of its batch are in the archive: these come out again, and in by themselves.
    with database.begin() as other:
        other.execute(sa.text("SELECT id FROM task_logs WHERE id = 450 FOR UPDATE"))
        archive = {"path": str(tmp_path), "compression": "gzip"}
        done = purge(database, profile="task_logs", batch_size=200, archive=archive)
    assert (done["stopped"], done["remaining"]) == ("gate", 1)
    assert left(database) + counted(tmp_path) == rows


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_a_connection_that_is_lost(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    database = make_database(make_logs)
    rows = left(database)
    name = {"before the commit": "end_member", "after the commit": "count_all"}[moment]
    real, calls = getattr(ArchiveFile, name), 0

    def cut_off(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        done = real(self, *arguments)
        if calls == 3:
            end_sessions(database)
        return done

    monkeypatch.setattr(ArchiveFile, name, cut_off)
    done = purge(database, profile="task_logs", batch_size=200, archive={"path": str(tmp_path), "compression": "gzip"})
    assert (done["stopped"], database.count("task_logs")) == ("drained", 0)
    assert left(database) + counted(tmp_path) == rows


# SQLite itself could not write either, for it is in the same process.
@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
def test_a_full_disk(make_database: MakeDatabase, tmp_path: Path) -> None:
    database = make_database(make_logs)
    rows = left(database)
    process = _start(database, tmp_path, file_size=60_000)
    assert process.wait() == 1
    assert process.stderr is not None
    said = process.stderr.read()
    assert f"The archive in {tmp_path} cannot be written: File too large." in said
    assert "rows were deleted and committed" in said
    archived = counted(tmp_path)
    assert 0 < len(archived) < len(rows)
    assert left(database) + archived == rows
