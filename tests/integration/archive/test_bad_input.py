# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong is said before anything is deleted, written or put back."""

from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine import archive_rows
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database as Opened
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import CleanupError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.restore import restore
from ansible_collections.fleetops.celery.plugins.module_utils._engine.restore_selection import Wanted
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database
from support.tables import Rows, create_processing_tasks, create_task_logs, dump, fill
from support.tables.rows import processing_rows, task_log_rows

MakeDatabase = Callable[..., Database]
RunModule = Callable[..., ModuleRun]
TASKS = {"profile": "processing_tasks"}


def _tasks(database: Database) -> None:
    create_processing_tasks(database)
    fill(database, "processing_tasks", [processing_rows(20)])


@pytest.fixture
def database(make_database: MakeDatabase) -> Database:
    return make_database(_tasks)


def _archive(database: Database, folder: Path) -> Path:
    return Path(purge(database, **TASKS, archive={"path": str(folder), "compression": "gzip"})["archive"]["manifest"])


@pytest.mark.parametrize("check", [True, False], ids=["check", "do"])
def test_folders_that_cannot_be_written(
    database: Database, fork_module: RunModule, tmp_path: Path, check: bool
) -> None:
    before = dump(database)
    (tmp_path / "file").touch()
    said = {"missing": "does not exist. Make the folder first.", "file": "is no folder"}
    for name, text in said.items():
        run = fork_module(
            "results_purge", {"database_url": database.url, **TASKS, "archive": {"path": str(tmp_path / name)}}, check
        )
        assert run["failed"] is True
        assert text in run["msg"]
    assert dump(database) == before


def test_a_folder_without_the_right_to_write(database: Database, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        tmp_path = Path("/proc/1")  # where not even root may make a file
    else:
        tmp_path.chmod(0o500)
    before = dump(database)
    with pytest.raises(Exception, match=r"cannot be written"):
        purge(database, **TASKS, archive={"path": str(tmp_path)})
    assert dump(database) == before


def test_a_disk_that_is_too_small(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No disk here is as small as that, so what the system says of it is another's.
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(1 << 20, 1 << 19, 1 << 19))
    before = dump(database)
    for check in (True, False):
        with pytest.raises(
            Exception, match=r"may need [\d,]+ bytes, but only 524,288 are free in .* Nothing was deleted"
        ):
            purge(database, **TASKS, archive={"path": str(tmp_path)}, check=check, by_status=False)
    assert (dump(database), os.listdir(tmp_path)) == (before, [])


@pytest.mark.parametrize("database_server", ["postgresql", "sqlite"], indirect=True)
def test_a_disk_that_is_too_small_for_the_children(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def logs(database: Database) -> None:
        create_task_logs(database)
        fill(database, "task_logs", [task_log_rows(10)])
        fill(database, "task_results", [Rows(9_000, {"task_id": 1, "status": "SUCCESS", "result": "x" * 1_000})])

    database = make_database(logs)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(1 << 30, 1 << 29, 2 << 20))
    with pytest.raises(Exception, match=r"may need [\d,]+ bytes, but only 2,097,152 are free"):
        purge(database, profile="task_logs", archive={"path": str(tmp_path)})
    assert (database.count("task_results"), os.listdir(tmp_path)) == (9_000, [])


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_rows_that_are_not_found_again_are_not_archived(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    # As SQLAlchemy 1.4 does it, and any with MySQL: nothing returns what it deletes.
    monkeypatch.setattr(archive_rows, "_returns_deleted", lambda _connection: False)
    database: Database = request.getfixturevalue(f"{kind}_database")
    database.execute(
        "CREATE TABLE celery_taskmeta (task_id TEXT, status TEXT, date_done DATETIME NOT NULL, share FLOAT)"
    )
    database.execute("INSERT INTO celery_taskmeta VALUES ('a', 'SUCCESS', '2020-01-01 00:00:00', 0.1)")
    with pytest.raises(Exception, match="Add a primary key, or leave the archive out"):
        purge(database, profile="celery_database", archive={"path": str(tmp_path)})
    assert database.count("celery_taskmeta") == 1
    assert [json.loads(path.read_text())["rows"] for path in tmp_path.glob("*.json")] == [0]


def test_rows_that_would_go_unseen_are_refused(make_database: MakeDatabase, tmp_path: Path) -> None:
    def referenced(database: Database) -> None:
        _tasks(database)
        database.execute(
            "CREATE TABLE clip (id INTEGER PRIMARY KEY, task INTEGER,"
            " FOREIGN KEY (task) REFERENCES processing_tasks (id) ON DELETE CASCADE)"
        )
        database.execute("INSERT INTO clip VALUES (1, 1)")

    database = make_database(referenced)
    before = dump(database)
    with pytest.raises(Exception, match=r"clip.* point at rows of processing_tasks"):
        purge(database, **TASKS, archive={"path": str(tmp_path)})
    assert (dump(database), os.listdir(tmp_path)) == (before, [])
    done = purge(database, **TASKS, archive={"path": str(tmp_path)}, referenced="skip")
    assert (done["deleted"], database.count("clip")) == (19, 1)


def test_all_is_archived_in_batches(database: Database, tmp_path: Path) -> None:
    done = purge(
        database,
        [{"all": True}],
        **TASKS,
        confirm="processing_tasks",
        archive={"path": str(tmp_path)},
        exclusive_lock=5,
    )
    assert (done["strategy"], done["deleted"], done["archive"]["rows"]) == ("batches", 20, 20)
    assert done["strategy_reason"] == "rows are archived in batches"


def _refused(fork_module: RunModule, database: Database, path: Path, **more: Any) -> str:
    before = dump(database)
    said = set()
    for check in (True, False):
        run = fork_module("results_restore", {"database_url": database.url, "path": str(path), **more}, check)
        assert (run["failed"], run["changed"], "Traceback" in run.output) == (True, False, False)
        if database.password:
            assert database.password not in run.output
        said.add(run["msg"])
    assert dump(database) == before
    (text,) = said
    return str(text)


def test_what_is_no_archive(database: Database, fork_module: RunModule, tmp_path: Path) -> None:
    assert "holds no archive" in _refused(fork_module, database, tmp_path)
    assert "No such file" in _refused(fork_module, database, tmp_path / "a.manifest.json")
    other = tmp_path / "other"
    for content in ("{", "[]", '{"format": "another"}'):
        other.write_text(content)
        assert "is no manifest of an archive" in _refused(fork_module, database, other)


def test_a_manifest_that_does_not_match(database: Database, fork_module: RunModule, tmp_path: Path) -> None:
    manifest = _archive(database, tmp_path)
    data = Path(str(manifest).replace(".manifest.json", ".jsonl.gz"))
    whole, described = data.read_bytes(), json.loads(manifest.read_text())
    changed = bytearray(whole)
    changed[len(changed) // 2] ^= 1
    data.write_bytes(changed)
    assert "its SHA-256 differs" in _refused(fork_module, database, manifest)
    data.write_bytes(whole[:-10])
    assert "is 10 bytes shorter than" in _refused(fork_module, database, manifest)
    data.unlink()
    assert "No such file" in _refused(fork_module, database, manifest)
    data.write_bytes(whole)
    manifest.write_text(json.dumps({**described, "version": 99}))
    assert "has the version 99" in _refused(fork_module, database, manifest)
    manifest.write_text(json.dumps({**described, "file": "../../etc/passwd"}))
    assert "is damaged" in _refused(fork_module, database, manifest)
    manifest.write_text(json.dumps({**described, "kind": "another"}))
    assert "is of another" in _refused(fork_module, database, manifest)
    manifest.write_text(json.dumps(described))
    assert fork_module("results_restore", {"database_url": database.url, "path": str(manifest)})["restored"] == 20


def test_a_table_with_other_columns(database: Database, fork_module: RunModule, tmp_path: Path) -> None:
    manifest = _archive(database, tmp_path)
    database.execute("ALTER TABLE processing_tasks RENAME COLUMN updated_at TO changed_at")
    assert "it lacks updated_at" in _refused(fork_module, database, manifest)
    database.execute("ALTER TABLE processing_tasks RENAME COLUMN changed_at TO updated_at")
    if database.kind != "sqlite":
        database.execute("ALTER TABLE processing_tasks ADD owner INTEGER NOT NULL")
        assert "it needs owner, which the archive lacks" in _refused(fork_module, database, manifest)
        database.execute("ALTER TABLE processing_tasks DROP COLUMN owner")
    database.execute("ALTER TABLE processing_tasks ADD note INTEGER NOT NULL DEFAULT 7")
    assert fork_module("results_restore", {"database_url": database.url, "path": str(manifest)})["restored"] == 20
    database.execute("DROP TABLE processing_tasks")
    assert "has no table processing_tasks" in _refused(fork_module, database, manifest)


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
def test_a_column_of_another_type(make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path) -> None:
    database = make_database(create_processing_tasks)
    alter = {"postgresql": "ALTER {0} TYPE {1}", "mariadb": "MODIFY {0} {1}"}[database.kind]

    def change(column: str, kind: str, more: str = "") -> None:
        database.execute(f"ALTER TABLE processing_tasks {alter.format(column, kind)} {more}")

    rows = [processing_rows(400, error_message="short"), processing_rows(1, error_message="longer than that", days=35)]
    change("error_message", "VARCHAR(50)")
    fill(database, "processing_tasks", rows, order_by="completed_at")
    asked = {"database_url": database.url, "path": str(_archive(database, tmp_path))}

    change("error_message", "VARCHAR(9)")
    run = fork_module("results_restore", asked)
    assert (run["failed"], run["changed"], database.count("processing_tasks")) == (True, True, 300)
    assert "error_message was VARCHAR(50) and is VARCHAR(9)" in run["msg"]
    assert "Before that, 300 rows were restored and committed." in run["msg"]
    change("error_message", "TEXT")
    assert fork_module("results_restore", asked)["restored"] == 101

    database.execute("DELETE FROM processing_tasks")
    change("created_at", "INTEGER", {"postgresql": "USING 0", "mariadb": "NOT NULL"}[database.kind])
    assert "created_at was " in _refused(fork_module, database, tmp_path)


def test_what_a_restore_puts_back_that_fails_is_in_nobodys_way(postgresql_database: Database, tmp_path: Path) -> None:
    database = postgresql_database
    create_processing_tasks(database)
    rows = [processing_rows(400, error_message="short"), processing_rows(1, error_message="longer than that", days=35)]
    fill(database, "processing_tasks", rows, order_by="completed_at")
    manifest = _archive(database, tmp_path)
    # As in a database that has been made anew.
    database.execute("TRUNCATE processing_tasks RESTART IDENTITY")
    database.execute("ALTER TABLE processing_tasks ALTER error_message TYPE VARCHAR(9)")
    with Opened(database.url) as opened, pytest.raises(CleanupError, match="300 rows were restored and committed"):
        restore(opened, manifest, Wanted())
    assert database.count("processing_tasks") == 300
    fill(database, "processing_tasks", [processing_rows(1)])


def test_selections_that_select_nothing(database: Database, fork_module: RunModule, tmp_path: Path) -> None:
    manifest = _archive(database, tmp_path)
    assert "have no task_id" in _refused(fork_module, database, manifest, task_ids=["a"])
    assert "statuses must be a list" in _refused(fork_module, database, manifest, statuses=[])
    assert "match needs tasks" in _refused(fork_module, database, manifest, match="glob")
    none = fork_module("results_restore", {"database_url": database.url, "path": str(manifest), "statuses": ["RETRY"]})
    assert (none["changed"], none["restored"], none["report"]) == (False, 0, ["No archived record is selected"])


def test_a_selection_that_one_archive_of_a_folder_does_not_know(
    make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path
) -> None:
    def both(database: Database) -> None:
        _tasks(database)
        create_task_logs(database)
        fill(database, "task_logs", [task_log_rows(10)])

    database = make_database(both)
    _archive(database, tmp_path)
    task_id = database.scalar("SELECT min(task_id) FROM task_logs")
    purge(database, profile="task_logs", archive={"path": str(tmp_path)})
    # The newest archive, which is the first, has what is asked for.
    assert "processing_tasks have no task_id" in _refused(fork_module, database, tmp_path, task_ids=[task_id])


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
def test_without_rights_nothing_is_changed(make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path) -> None:
    def logs(database: Database) -> None:
        create_task_logs(database)
        fill(database, "task_logs", [task_log_rows(10)])

    database = make_database(logs)
    before = dump(database)
    asked = {"database_url": database.viewer_url, "profile": "task_logs", "archive": {"path": str(tmp_path)}}
    run = fork_module("results_purge", asked)
    assert (run["failed"], dump(database), os.listdir(tmp_path)) == (True, before, [])
    purge(database, profile="task_logs", archive={"path": str(tmp_path)})
    emptied = dump(database)
    run = fork_module("results_restore", {"database_url": database.viewer_url, "path": str(tmp_path)})
    assert (run["failed"], dump(database)) == (True, emptied)
    assert "denied" in run["msg"]
