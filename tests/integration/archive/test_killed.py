# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever ends a run, each row is in the table or counts in an archive, and none is in both."""

# Only under Ansible's name for the collection is the engine found, and mypy does not look there for the tests.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from ansible_collections.fleetops.celery.plugins.module_utils._engine.archive_file import ArchiveFile
from support.engine import purge
from support.running import ModuleRun
from support.running.collection import clean_environment, link_checkout
from support.servers import Database
from support.tables import create_task_logs, dump, fill
from support.tables.rows import task_log_rows

MakeDatabase = Callable[..., Database]
RunModule = Callable[..., ModuleRun]
ROWS = 3_000
TESTS = Path(__file__).parents[2]


def _logs(database: Database) -> None:
    create_task_logs(database)
    fill(database, "task_logs", [task_log_rows(ROWS)])
    for number in (1, 2):
        database.execute(
            "INSERT INTO task_execution_history (task_id, attempt_number, status, error_message)"
            f" SELECT id, {number}, 'x', task_id FROM task_logs"
        )


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


def _counted(folder: Path) -> Iterator[tuple[str, int]]:
    """The rows that the manifests count, by table and number."""
    for path in folder.glob("*.manifest.json"):
        manifest = json.loads(path.read_text())
        rest = path.with_name(manifest["file"]).read_bytes()[: manifest["bytes"]]
        rows = 0
        while rest:
            member = zlib.decompressobj(31)
            lines = member.decompress(rest).splitlines()
            assert member.eof
            rest = member.unused_data
            rows += len(lines)
            yield from ((name, int(number)) for name, number, *_values in map(json.loads, lines))
        assert rows == manifest["rows"] == sum(table["rows"] for table in manifest["tables"])


def _left(database: Database) -> Counter[tuple[str, int]]:
    return Counter((name, row[0]) for name, rows in dump(database).items() for row in rows)


def _settled(database: Database, folder: Path) -> Counter[tuple[str, int]]:
    """What the table and the archives hold, once the next run has begun."""
    purge(database, profile="task_logs", max_rows=1, archive={"path": str(folder), "compression": "gzip"})
    return _left(database) + Counter(_counted(folder))


@pytest.mark.parametrize("moment", ["in the member", "before the commit", "after the commit"])
def test_killed_at_each_step(make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path, moment: str) -> None:
    database = make_database(_logs)
    before, rows = dump(database), _left(database)
    killed = _start(database, tmp_path, moment=moment, batch=3)
    assert killed.wait() == -signal.SIGKILL
    deleted = len(rows) - len(_left(database))
    uncounted = deleted - sum(1 for _row in _counted(tmp_path))
    assert deleted > 0
    assert (uncounted > 0) == (moment == "after the commit")
    assert _settled(database, tmp_path) == rows
    fork_module("results_restore", {"database_url": database.url, "path": str(tmp_path)})
    assert dump(database) == before


def test_restored_at_once_after_a_kill(make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path) -> None:
    # Nothing has settled what the run left: rows that the manifest does not count are put back too.
    database = make_database(_logs)
    before = dump(database)
    assert _start(database, tmp_path, moment="after the commit", batch=3).wait() == -signal.SIGKILL
    fork_module("results_restore", {"database_url": database.url, "path": str(tmp_path)})
    assert dump(database) == before


def test_killed_at_random(make_database: MakeDatabase, tmp_path: Path) -> None:
    database = make_database(_logs)
    rows = _left(database)
    chance = random.Random(4)
    for _number in range(10):
        process = _start(database, tmp_path, batch_size=50)
        seen = len(list(tmp_path.glob("*.manifest.json")))
        deadline = time.monotonic() + 30
        while process.poll() is None and len(list(tmp_path.glob("*.manifest.json"))) == seen:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.wait()
    assert _settled(database, tmp_path) == rows


def test_two_at_once(make_database: MakeDatabase, tmp_path: Path) -> None:
    database = make_database(_logs)
    rows = _left(database)
    both = [_start(database, tmp_path, batch_size=100) for _number in range(2)]
    for process in both:
        process.wait()
    assert _settled(database, tmp_path) == rows


# MariaDB waits for each row of the batch a second, for its children are found by reading what is held.
@pytest.mark.parametrize("database_server", ["postgresql"], indirect=True)
def test_rows_that_another_session_holds(make_database: MakeDatabase, tmp_path: Path) -> None:
    database = make_database(_logs)
    rows = _left(database)
    # Met after the children of its batch are in the archive: these come out again, and in by themselves.
    with database.begin() as other:
        other.execute(sa.text("SELECT id FROM task_logs WHERE id = 450 FOR UPDATE"))
        archive = {"path": str(tmp_path), "compression": "gzip"}
        done = purge(database, profile="task_logs", batch_size=200, archive=archive)
    assert (done["stopped"], done["remaining"]) == ("gate", 1)
    assert _left(database) + Counter(_counted(tmp_path)) == rows


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_a_connection_that_is_lost(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    database = make_database(_logs)
    rows = _left(database)
    name = {"before the commit": "end_member", "after the commit": "count_all"}[moment]
    real, calls = getattr(ArchiveFile, name), 0

    def cut_off(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        done = real(self, *arguments)
        if calls == 3:
            _end_sessions(database)
        return done

    monkeypatch.setattr(ArchiveFile, name, cut_off)
    done = purge(database, profile="task_logs", batch_size=200, archive={"path": str(tmp_path), "compression": "gzip"})
    assert (done["stopped"], database.count("task_logs")) == ("drained", 0)
    assert _left(database) + Counter(_counted(tmp_path)) == rows


def _end_sessions(database: Database) -> None:
    """Let the server end every other session in this database."""
    if database.kind == "postgresql":
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        database.execute(f"SELECT pg_terminate_backend(pid, 5000) {others}")
        return
    others = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    for (number,) in database.execute(others):
        database.execute(f"KILL {number}")


# SQLite itself could not write either, for it is in the same process.
@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
def test_a_full_disk(make_database: MakeDatabase, tmp_path: Path) -> None:
    database = make_database(_logs)
    rows = _left(database)
    process = _start(database, tmp_path, file_size=60_000)
    assert process.wait() == 1
    assert process.stderr is not None
    said = process.stderr.read()
    assert f"The archive in {tmp_path} cannot be written: File too large." in said
    assert "rows were deleted and committed" in said
    counted = Counter(_counted(tmp_path))
    assert 0 < len(counted) < len(rows)
    assert _left(database) + counted == rows
