# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was archived comes back as it was, to the byte."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.archives import lines
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database
from support.tables import create_celery_tables, create_processing_tasks, create_task_logs, dump, fill
from support.tables.rows import (
    CHORD_COUNTER,
    GROUP_RESULT,
    TASK_RESULT,
    group_results,
    processing_rows,
    task_log_rows,
    task_metas,
    task_results,
)

RunModule = Callable[..., ModuleRun]
MakeDatabase = Callable[..., Database]
EVERYTHING = [{"all": True}]
# Every character that a format of text may take for its own, and some that no format knows.
AWKWARD = "".join(map(chr, range(1, 128))) + "\\N \\\\. 'x' \"y\" {{ braces }} %s %(id)s :id ü € 𝄞 \u2028 end\\"


def _results(database: Database) -> None:
    fill(
        database,
        TASK_RESULT,
        [
            task_results(300),
            task_results(40, "FAILURE", traceback='Traceback:\n\tFile "x.py"\r\n', task_name="shop.tasks.mail"),
            task_results(1, "REVOKED", result=AWKWARD, task_kwargs=AWKWARD, worker="\\N"),
            task_results(5, days=1),
        ],
    )
    fill(database, GROUP_RESULT, [group_results(7)])
    database.execute(
        f"INSERT INTO {CHORD_COUNTER} (group_id, sub_tasks, count) VALUES ('g', '[[[\"member\", null], null]]', 1)"
    )


def _lines(manifest: str) -> list[list[Any]]:
    path = Path(manifest.replace(".manifest.json", ".jsonl.gz"))
    return [json.loads(line) for line in gzip.open(path, "rt", encoding="utf-8")]


def test_results_groups_and_counters(dcr: Database, fork_module: RunModule, tmp_path: Path) -> None:
    _results(dcr)
    before = dump(dcr)
    asked = {
        "database_url": dcr.url,
        "rules": EVERYTHING,
        "confirm": TASK_RESULT,
        "batch_size": 100,
        "archive": {"path": str(tmp_path), "compression": "gzip"},
    }
    plan = fork_module("results_purge", asked, check=True, diff=True)
    assert (plan["changed"], plan["archive"], os.listdir(tmp_path)) == (True, None, [])

    done = fork_module("results_purge", asked, diff=True)
    assert (dcr.count(TASK_RESULT), dcr.count(GROUP_RESULT), dcr.count(CHORD_COUNTER)) == (0, 0, 0)
    archive = done["archive"]
    assert (archive["rows"], archive["compression"]) == (346 + 7 + 1, "gzip")
    assert archive["manifest"] in done["report"][-1]
    written = _lines(archive["manifest"])
    assert len(written) == 354
    assert {name for name, *_values in written} == {TASK_RESULT, GROUP_RESULT, CHORD_COUNTER}
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        if dcr.password:
            assert dcr.password.encode() not in path.read_bytes()
    manifest = json.loads(Path(archive["manifest"]).read_text())
    assert (manifest["complete"], manifest["rows"], manifest["bytes"]) == (True, 354, archive["bytes"])
    assert {table["name"]: table["rows"] for table in manifest["tables"]} == {
        TASK_RESULT: 346,
        GROUP_RESULT: 7,
        CHORD_COUNTER: 1,
    }

    again = fork_module("results_purge", asked)
    assert (again["changed"], again["archive"], len(os.listdir(tmp_path))) == (False, None, 2)

    back = {"database_url": dcr.url, "path": archive["manifest"]}
    empty = dump(dcr)
    foretold = fork_module("results_restore", back, check=True, diff=True)
    assert (foretold["changed"], foretold["restored"], foretold["present"]) == (True, 354, 0)
    assert f"{TASK_RESULT}: 346\n" in foretold["diff"]["after"]
    assert dump(dcr) == empty
    restored = fork_module("results_restore", back, diff=True)
    assert (restored["changed"], restored["restored"], restored["present"]) == (True, 354, 0)
    assert dump(dcr) == before
    for check in (True, False):
        second = fork_module("results_restore", back, check=check)
        assert (second["changed"], second["restored"], second["present"]) == (False, 0, 354)
    assert dump(dcr) == before


@pytest.mark.parametrize("character", ["\t", "\n", "\x1f"])
def test_a_control_character_and_no_other(
    dcr: Database, fork_module: RunModule, tmp_path: Path, character: str
) -> None:
    result = f"one{character}two"
    fill(dcr, TASK_RESULT, [task_results(3), task_results(1, result=result), task_results(3)])
    before = dump(dcr)
    done = purge(dcr, EVERYTHING, confirm=TASK_RESULT, archive={"path": str(tmp_path), "compression": "gzip"})
    written = _lines(done["archive"]["manifest"])
    assert (len(written), sum(result in line for line in written)) == (7, 1)
    fork_module("results_restore", {"database_url": dcr.url, "path": str(tmp_path)})
    assert dump(dcr) == before


def test_rows_that_are_there_are_left_alone(dcr: Database, fork_module: RunModule, tmp_path: Path) -> None:
    _results(dcr)
    archive = purge(dcr, archive={"path": str(tmp_path), "compression": "gzip"})["archive"]
    (task_id,) = {values[2] for values in _lines(archive["manifest"]) if values[0] == TASK_RESULT and "\\N" in values}
    # The application asked for the same task again, and the row got another number.
    fill(dcr, TASK_RESULT, [task_results(1, days=0, task_id=task_id, result='"new"')])
    plan = fork_module("results_restore", {"database_url": dcr.url, "path": str(tmp_path)}, check=True)
    done = fork_module("results_restore", {"database_url": dcr.url, "path": str(tmp_path)})
    assert (plan["restored"], plan["present"]) == (done["restored"], done["present"]) == (archive["rows"] - 1, 1)
    select = sa.text(f"SELECT result FROM {TASK_RESULT} WHERE task_id = :task")
    assert dcr.scalar(select, task=task_id) == '"new"'


def test_pickled_results_of_celerys_own_backend(
    worker_rows: Callable[..., Any], tmp_path: Path, fork_module: RunModule
) -> None:
    left = worker_rows(backend="database", serializer="pickle")
    before = dump(left.database)
    assert any(isinstance(value, bytes) for row in before["celery_taskmeta"] for value in row)
    done = purge(
        left.database,
        EVERYTHING,
        profile="celery_database",
        confirm="celery_taskmeta",
        archive={"path": str(tmp_path)},
    )
    assert left.database.count("celery_taskmeta") == left.database.count("celery_tasksetmeta") == 0
    back = fork_module("results_restore", {"database_url": left.database.url, "path": done["archive"]["manifest"]})
    assert back["restored"] == done["archive"]["rows"] == sum(map(len, before.values()))
    assert dump(left.database) == before


def _logs(database: Database) -> None:
    create_task_logs(database)
    fill(database, "task_logs", [task_log_rows(60), task_log_rows(5, days=1), task_log_rows(3, "FAILURE")])
    database.execute("INSERT INTO task_metadata (task_id, queue_name) SELECT id, 'fast' FROM task_logs")
    database.execute(
        "INSERT INTO task_execution_history (task_id, attempt_number, status) SELECT id, 1, 'x' FROM task_logs"
    )
    database.execute(
        "INSERT INTO task_execution_history (task_id, attempt_number, status) SELECT id, 2, 'x' FROM task_logs"
    )
    database.execute(
        "INSERT INTO queue_stats (queue_name, message_count, recorded_at) VALUES ('fast', 1, '2020-01-01')"
    )


def test_children_come_back_with_their_record(
    make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path
) -> None:
    database = make_database(_logs)
    before = dump(database)
    done = purge(database, profile="task_logs", batch_size=20, archive={"path": str(tmp_path)})
    assert (done["deleted"], done["archive"]["rows"]) == (63, 63 * 4 + 1)
    # Those of one record only, ...
    task_id = next(row[1] for row in before["task_logs"] if row[0] == 1)
    one = fork_module("results_restore", {"database_url": database.url, "path": str(tmp_path), "task_ids": [task_id]})
    assert {count["table"]: count["restored"] for count in one["tables"]} == {
        "task_logs": 1,
        "task_metadata": 1,
        "task_execution_history": 2,
    }
    # ... and the rest.
    rest = fork_module("results_restore", {"database_url": database.url, "path": str(tmp_path)})
    assert (rest["restored"], rest["present"]) == (63 * 4 + 1 - 4, 4)
    assert dump(database) == before


def _tasks(database: Database) -> None:
    create_processing_tasks(database)
    fill(
        database, "processing_tasks", [processing_rows(50, progress=0), processing_rows(9, "FAILURE", progress=100 / 3)]
    )


def test_enumerations_and_floats(make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path) -> None:
    database = make_database(_tasks)
    before = dump(database)
    done = purge(database, profile="processing_tasks", archive={"path": str(tmp_path)})
    assert (done["deleted"], database.count("processing_tasks")) == (59, 0)
    asked = {"database_url": database.url, "path": str(tmp_path)}
    some = fork_module("results_restore", {**asked, "statuses": ["failure"], "tasks": ["DOWN*"], "match": "glob"})
    assert (some["restored"], database.count("processing_tasks")) == (9, 9)
    assert fork_module("results_restore", asked)["restored"] == 50
    assert dump(database) == before


def test_an_id_that_another_row_has_now(make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path) -> None:
    database = make_database(create_celery_tables)
    fill(database, "celery_taskmeta", [task_metas(1, id=1, task_id="a"), task_metas(1, id=2, task_id="b")])
    purge(database, profile="celery_database", archive={"path": str(tmp_path)})
    # As a new row gets it where a sequence begins anew, or SQLite counts without AUTOINCREMENT.
    fill(database, "celery_taskmeta", [task_metas(1, days=0, id=1, task_id="new")])
    asked = {"database_url": database.url, "path": str(tmp_path)}
    for check in (True, False):
        done = fork_module("results_restore", asked, check=check)
        assert [done[key] for key in ("changed", "restored", "present", "conflicts")] == [True, 1, 0, 1]
        said = "celery_taskmeta: 1 record could not be put back, since other rows have their keys now."
        assert done["report"][-1] == f"  Note: {said}"
        assert said in str(done["warnings"])
    assert database.execute("SELECT id, task_id FROM celery_taskmeta ORDER BY id") == [(1, "new"), (2, "b")]
    # Once it comes again under another number, it is there.
    fill(database, "celery_taskmeta", [task_metas(1, days=0, id=7, task_id="a")])
    again = fork_module("results_restore", asked)
    assert [again[key] for key in ("changed", "restored", "present", "conflicts")] == [False, 0, 2, 0]


def test_children_of_a_record_that_cannot_come_back(
    make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path
) -> None:
    database = make_database(_logs)
    tasks = dict(database.execute("SELECT id, task_id FROM task_logs WHERE id <= 3"))
    purge(database, profile="task_logs", archive={"path": str(tmp_path), "compression": "gzip"})
    # One's number was given to another task, one came again under another number, one's child lost its number.
    fill(database, "task_logs", [task_log_rows(1, days=0, id=1)])
    fill(database, "task_logs", [task_log_rows(1, days=0, id=1002, task_id=tasks[2])])
    number = next(values[1] for values in lines(tmp_path) if values[0] == "task_metadata" and int(values[2]) == 3)
    database.execute(f"INSERT INTO task_metadata (id, task_id, queue_name) VALUES ({number}, 1002, 'new')")
    asked = {"database_url": database.url, "path": str(tmp_path), "task_ids": list(tasks.values())}
    for check in (True, False):
        done = fork_module("results_restore", asked, check=check)
        counts = {one["table"]: (one["restored"], one["present"], one["conflicts"]) for one in done["tables"]}
        assert counts == {
            "task_logs": (1, 1, 1),
            "task_metadata": (0, 0, 3),
            "task_execution_history": (2, 0, 4),
        }
    for table in ("task_metadata", "task_execution_history"):
        assert database.execute(f"SELECT * FROM {table} WHERE task_id IN (1, 2)") == []


def test_columns_that_the_server_computes(make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path) -> None:
    database = make_database(_tasks)
    kept = {"postgresql": "STORED", "mariadb": "STORED", "sqlite": "VIRTUAL"}[database.kind]
    database.execute(
        "ALTER TABLE processing_tasks ADD double_progress INTEGER"
        f" GENERATED ALWAYS AS (coalesce(2 * (progress + 0), length('a (b), c'))) {kept}"
    )
    if database.kind == "postgresql":
        database.execute(
            "ALTER TABLE processing_tasks ALTER id DROP DEFAULT, ALTER id ADD GENERATED ALWAYS AS IDENTITY"
        )
    before = dump(database)
    purge(database, profile="processing_tasks", archive={"path": str(tmp_path)})
    assert database.count("processing_tasks") == 0
    done = fork_module("results_restore", {"database_url": database.url, "path": str(tmp_path)})
    assert (done["restored"], dump(database)) == (59, before)


@pytest.mark.parametrize("database_server", ["postgresql"], indirect=True)
def test_new_numbers_do_not_collide(dcr: Database, fork_module: RunModule, tmp_path: Path) -> None:
    _results(dcr)
    highest = dcr.scalar(f"SELECT max(id) FROM {TASK_RESULT}")
    purge(dcr, EVERYTHING, confirm=TASK_RESULT, archive={"path": str(tmp_path)})
    dcr.execute(f"SELECT setval(pg_get_serial_sequence('{TASK_RESULT}', 'id'), 1)")
    fork_module("results_restore", {"database_url": dcr.url, "path": str(tmp_path)})
    fill(dcr, TASK_RESULT, [task_results(1, "NEW")])
    assert dcr.scalar(f"SELECT id FROM {TASK_RESULT} WHERE status = 'NEW'") == highest + 1


@pytest.mark.parametrize("database_server", ["postgresql"], indirect=True)
def test_types_that_only_the_server_knows(make_database: MakeDatabase, fork_module: RunModule, tmp_path: Path) -> None:
    database = make_database(_tasks)
    database.execute(
        "ALTER TABLE processing_tasks ADD number numeric DEFAULT 12345678901234567890.1234567890, ADD uid uuid DEFAULT"
        ' gen_random_uuid(), ADD doc json DEFAULT \'{ "b" : 1.10, "a" : [null] }\','
        " ADD docb jsonb DEFAULT '{\"a\": 1.10}',"
        " ADD raw bytea DEFAULT '\\x0001ff', ADD span interval DEFAULT '1 mon 2 days 03:04:05.678',"
        " ADD list text[] DEFAULT ARRAY['a,b', NULL, '\"'], ADD moment timestamptz DEFAULT 'infinity',"
        ' ADD yes boolean DEFAULT true, ADD address inet DEFAULT \'::1\', ADD "odd ""%s name" float8 DEFAULT 0.1'
    )
    texts = "SELECT p::text FROM processing_tasks AS p ORDER BY id"
    before = database.execute(texts)
    done = purge(database, profile="processing_tasks", archive={"path": str(tmp_path)})
    assert (done["archive"]["rows"], database.execute(texts)) == (59, [])
    fork_module("results_restore", {"database_url": database.url, "path": str(tmp_path)})
    assert database.execute(texts) == before


def test_zstd_where_it_is_there(dcr: Database, fork_module: RunModule, tmp_path: Path) -> None:
    _results(dcr)
    before = dump(dcr)
    purge(dcr, archive={"path": str(tmp_path), "compression": "zstd"})
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".zst", ".json"]
    fork_module("results_restore", {"database_url": dcr.url, "path": str(tmp_path)})
    assert dump(dcr) == before
