# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deployment_info finds wrong with a database, and that it never fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.applications import Application
from support.docker.engine_stub import EngineStub, describe
from support.servers import Database, SQLite
from support.tables import (
    create_celery_tables,
    create_django_celery_beat,
    create_processing_tasks,
    create_task_logs,
    dump,
    fill,
)
from support.tables.rows import TASK_RESULT, processing_rows, task_results

RunModule = Callable[..., dict[str, Any]]


def every_finding(fork_module: RunModule, url: str, **options: Any) -> list[dict[str, str]]:
    done = fork_module("deployment_info", {"database_url": url, **options})
    assert not done.get("failed"), done
    assert done["changed"] is False
    found: list[dict[str, str]] = done["findings"]
    return found


def findings(fork_module: RunModule, url: str, **options: Any) -> dict[str, dict[str, str]]:
    return {one["code"]: one for one in every_finding(fork_module, url, **options)}


def indexed(database: Database) -> None:
    create_processing_tasks(database)
    database.execute("CREATE INDEX by_end ON processing_tasks (completed_at)")


def referenced(database: Database) -> None:
    indexed(database)
    key = "BIGINT" if database.kind == "postgresql" else "INTEGER"
    database.execute(
        f"CREATE TABLE invoices (id INTEGER PRIMARY KEY, task_id {key}, "
        "FOREIGN KEY (task_id) REFERENCES processing_tasks (id))"
    )


def test_a_healthy_table_has_no_finding(make_database: Callable[..., Database], fork_module: RunModule) -> None:
    database = make_database(indexed)
    before = dump(database)
    assert findings(fork_module, database.url) == {}
    assert dump(database) == before


def test_a_missing_index_is_found(processing_tasks: Database, fork_module: RunModule) -> None:
    found = findings(fork_module, processing_tasks.url)
    assert set(found) == {"index_missing"}
    assert "completed_at" in found["index_missing"]["fix"]


def renamed(database: Database) -> None:
    create_processing_tasks(database)
    database.execute("ALTER TABLE processing_tasks RENAME TO background_jobs")
    database.execute("ALTER TABLE background_jobs RENAME COLUMN completed_at TO ended_at")


def test_the_tables_that_are_named_are_looked_at_and_no_others(
    make_database: Callable[..., Database], fork_module: RunModule
) -> None:
    url = make_database(renamed).url
    assert set(findings(fork_module, url)) == {"no_record_table"}
    jobs = {"profile": "processing_tasks", "table": "background_jobs", "columns": {"finished": "ended_at"}}
    done = fork_module("deployment_info", {"database_url": url, "tables": [jobs]})
    assert done["profiles"] == [{"profile": "processing_tasks", "table": "background_jobs"}]
    (found,) = done["findings"]
    assert found["fix"].startswith("Create an index on background_jobs (ended_at)")
    # What is never deleted by its age needs none.
    for rules in ([], [{"statuses": ["FAILURE"]}]):
        assert findings(fork_module, url, tables=[{**jobs, "purge_rules": rules}]) == {}
    missing = findings(fork_module, url, tables=[jobs, {"table": "nowhere"}])
    assert set(missing) == {"index_missing", "table_missing"}
    assert "has no table nowhere" in missing["table_missing"]["message"]
    wrong = {**jobs, "columns": {"finished": "finished_at"}}
    assert set(findings(fork_module, url, tables=[wrong])) == {"column_missing"}


def test_a_table_that_is_described_wrongly_is_no_finding(fork_module: RunModule) -> None:
    rules = [{"older": "1d"}]
    done = fork_module("deployment_info", {"database_url": "sqlite:///x", "tables": [{}, {"purge_rules": rules}]})
    assert done["failed"] is True
    assert "tables: element 2" in done["msg"]
    assert "older" in done["msg"]


def test_a_foreign_key_is_found_and_whether_it_has_an_index(
    make_database: Callable[..., Database], fork_module: RunModule
) -> None:
    database = make_database(referenced)
    found = findings(fork_module, database.url)
    assert "invoices (task_id)" in found["referenced"]["message"]
    # MariaDB makes the index by itself.
    assert ("reference_without_index" in found) is (database.kind != "mariadb")
    database.execute("CREATE INDEX by_task ON invoices (task_id)")
    assert set(findings(fork_module, database.url)) == {"referenced"}


@pytest.mark.parametrize("rule", ["CASCADE", "SET NULL"])
def test_a_foreign_key_that_gives_way_is_no_finding(
    make_database: Callable[..., Database], fork_module: RunModule, rule: str
) -> None:
    database = make_database(indexed)
    key = "BIGINT" if database.kind == "postgresql" else "INTEGER"
    database.execute(
        f"CREATE TABLE invoices (id INTEGER PRIMARY KEY, task_id {key}, "
        f"FOREIGN KEY (task_id) REFERENCES processing_tasks (id) ON DELETE {rule})"
    )
    database.execute("CREATE INDEX by_task ON invoices (task_id)")
    # SQLite follows the rule only for sessions that ask for it.
    assert set(findings(fork_module, database.url)) == ({"referenced"} if database.kind == "sqlite" else set())


def old_celery_tables(database: Database) -> None:
    """As Celery made them before 5.6.3, and newer ones leave them."""
    create_celery_tables(database, "5.6.2")


def test_celerys_own_tables_lack_the_index_until_5_6_3(
    make_database: Callable[..., Database], fork_module: RunModule
) -> None:
    assert findings(fork_module, make_database(create_celery_tables).url) == {}
    database = make_database(old_celery_tables)
    found = findings(fork_module, database.url)
    assert set(found) == {"index_missing"}
    fix = "Create an index on celery_taskmeta (date_done), as fleetops.celery.results_index does."
    assert found["index_missing"]["fix"] == fix
    database.execute("CREATE INDEX by_date ON celery_taskmeta (date_done)")
    assert findings(fork_module, database.url) == {}


def test_the_tables_of_django_celery_results_need_their_index(dcr: Database, fork_module: RunModule) -> None:
    assert findings(fork_module, dcr.url) == {}
    with dcr.begin() as connection:
        (name,) = [
            index["name"]
            for index in sa.inspect(connection).get_indexes(TASK_RESULT)
            if index["column_names"] == ["date_done"]
        ]
    dcr.execute(f"DROP INDEX {name}" + (f" ON {TASK_RESULT}" if dcr.kind == "mariadb" else ""))
    found = findings(fork_module, dcr.url)
    assert set(found) == {"index_missing"}
    assert f"No index of {TASK_RESULT} begins with date_done" in found["index_missing"]["message"]


def test_a_foreign_key_of_the_applications_own_onto_a_result_is_found(dcr: Database, fork_module: RunModule) -> None:
    dcr.execute(
        "CREATE TABLE exports (id INTEGER PRIMARY KEY, result_id INTEGER, "
        f"FOREIGN KEY (result_id) REFERENCES {TASK_RESULT} (id))"
    )
    found = findings(fork_module, dcr.url)
    assert f"exports (result_id) point at {TASK_RESULT}" in found["referenced"]["message"]
    assert ("reference_without_index" in found) is (dcr.kind != "mariadb")


def test_the_tables_that_hang_on_a_log_need_an_index_and_are_no_finding_themselves(
    make_database: Callable[..., Database], fork_module: RunModule
) -> None:
    database = make_database(create_task_logs)
    database.execute("CREATE INDEX by_end ON task_logs (completed_at)")
    children = ["task_execution_history", "task_metadata", "task_results"]
    found = every_finding(fork_module, database.url)
    # MariaDB has made the indexes by itself.
    expected = [] if database.kind == "mariadb" else [f"Create an index on {name} (task_id)." for name in children]
    assert sorted(one["fix"] for one in found) == expected
    assert {one["code"] for one in found} <= {"reference_without_index"}
    for name in children:
        database.execute(f"CREATE INDEX of_{name} ON {name} (task_id)")
    assert every_finding(fork_module, database.url) == []


def test_ids_that_are_nearly_used_up_are_found(dcr: Database, fork_module: RunModule) -> None:
    fill(dcr, TASK_RESULT, [task_results(1)])
    dcr.execute(f"UPDATE {TASK_RESULT} SET id = 1717000000")  # 79.95 % of an INTEGER
    assert findings(fork_module, dcr.url) == {}
    dcr.execute(f"UPDATE {TASK_RESULT} SET id = 1719000000")
    found = findings(fork_module, dcr.url)
    # SQLite's integers have 64 bits.
    assert set(found) == (set() if dcr.kind == "sqlite" else {"id_nearly_used_up"})
    if found:
        assert "have reached 1,719,000,000 of 2,147,483,647" in found["id_nearly_used_up"]["message"]
        assert found["id_nearly_used_up"]["fix"] == f"Change {TASK_RESULT}.id to BIGINT."
        dcr.execute(
            f"ALTER TABLE {TASK_RESULT} "
            + ("ALTER COLUMN id TYPE BIGINT" if dcr.kind == "postgresql" else "MODIFY id BIGINT AUTO_INCREMENT")
        )
        assert findings(fork_module, dcr.url) == {}


def test_ids_without_a_sign_have_twice_the_room(mariadb_database: Database, fork_module: RunModule) -> None:
    indexed(mariadb_database)
    mariadb_database.execute("ALTER TABLE processing_tasks MODIFY id INT UNSIGNED AUTO_INCREMENT")
    fill(mariadb_database, "processing_tasks", [processing_rows(1)])
    mariadb_database.execute("UPDATE processing_tasks SET id = 3400000000")
    assert findings(fork_module, mariadb_database.url) == {}
    mariadb_database.execute("UPDATE processing_tasks SET id = 3500000000")
    found = findings(fork_module, mariadb_database.url)
    assert "3,500,000,000 of 4,294,967,295" in found["id_nearly_used_up"]["message"]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_missing_right_is_found(request: pytest.FixtureRequest, kind: str, fork_module: RunModule) -> None:
    database: Database = request.getfixturevalue(f"{kind}_database")
    indexed(database)
    found = findings(fork_module, database.viewer_url)
    assert set(found) == {"rights_missing"}
    assert found["rights_missing"]["severity"] == "error"
    assert "UPDATE, DELETE" in found["rights_missing"]["message"]


def test_an_empty_database_is_told(database: Database, fork_module: RunModule) -> None:
    assert set(findings(fork_module, database.url)) == {"no_record_table"}


def test_a_server_that_is_away_is_a_finding(fork_module: RunModule) -> None:
    found = findings(fork_module, "postgresql://shop:very-secret@127.0.0.1:1/shop")
    assert set(found) == {"database_unreachable"}
    assert "very-secret" not in str(found)


def scheduled(database: Database) -> None:
    create_django_celery_beat(database)
    Application(database, beat=True).make_schedule(
        {"name": "often", "task": "shop.tasks.report", "crontab": "* * * * *", "timezone": "Europe/Berlin"},
        {"name": "off", "task": "shop.tasks.report", "crontab": "* * * * *", "enabled": False},
    )


@pytest.mark.parametrize(("last_run", "late"), [("2020-01-01 00:00:00", True), ("2999-01-01 00:00:00", False)])
@pytest.mark.parametrize("kind", ["crontab", "interval"])
def test_a_beat_that_does_not_send_is_found(
    make_database: Callable[..., Database], fork_module: RunModule, last_run: str, late: bool, kind: str
) -> None:
    database = make_database(scheduled)
    if kind == "interval":
        database.execute("INSERT INTO django_celery_beat_intervalschedule (every, period) VALUES (30, 'minutes')")
        number = database.scalar("SELECT id FROM django_celery_beat_intervalschedule")
        database.execute(
            f"UPDATE django_celery_beat_periodictask SET interval_id = {number}, crontab_id = NULL WHERE name = 'often'"
        )
    database.execute(
        f"UPDATE django_celery_beat_periodictask SET last_run_at = '{last_run}', date_changed = '2020-01-01 00:00:00'"
    )
    found = findings(fork_module, database.url)
    assert ("beat_not_scheduling" in found) is late
    if late:
        assert "often" in found["beat_not_scheduling"]["message"]
        assert "off" not in found["beat_not_scheduling"]["message"].split()


def _told(*tasks: str, **beat_schedule: str) -> dict[str, Any]:
    """What an application says of itself whose results are in Redis."""
    return {
        "result_expires": 86400, "result_backend": "redis", "expires_by_itself": True, "beat_scheduler": "",
        "timezone": "UTC", "tasks": list(tasks), "beat_schedule": beat_schedule,
    }  # fmt: skip


@pytest.mark.parametrize("schedule", [{}, {"nightly": "report"}], ids=["nothing", "something"])
def test_a_beat_is_missed_only_where_something_is_scheduled(
    sqlite: SQLite, fork_module: RunModule, tmp_path: Path, schedule: dict[str, str]
) -> None:
    """An application without one, whose tables cron cleans, is well."""
    worker = describe("a" * 64, command=["celery", "-A", "shop", "worker"], service="worker")
    EngineStub(tmp_path, worker, told={"a" * 64: _told("report", **schedule)})
    compose = {"project_name": "shop", "docker_cli": str(tmp_path / "docker")}
    database = sqlite.filled_database(indexed, indexed)[0]
    found = findings(fork_module, database.url, compose=compose)
    assert set(found) == ({"beat_not_running"} if schedule else set())
    database.drop()


@pytest.mark.parametrize("elsewhere", ["report", "renamed"])
def test_a_task_that_only_workers_of_another_image_have_is_known(
    sqlite: SQLite, fork_module: RunModule, tmp_path: Path, elsewhere: str
) -> None:
    """Beat sends it by its name. Nobody is asked whose image is that of one who was."""
    beat, worker, second = ("a" * 64, "b" * 64, "c" * 64)
    at_work = {"command": ["celery", "-A", "shop", "worker"], "image": "shop-heavy"}
    engine = EngineStub(
        tmp_path,
        describe(beat, command=["celery", "-A", "shop", "beat"], image="shop", service="beat"),
        describe(worker, service="worker", **at_work),
        describe(second, service="second", **at_work),
        told={beat: _told("tidy", nightly="report", often="tidy"), worker: _told(elsewhere)},
    )
    compose = {"project_name": "shop", "docker_cli": str(tmp_path / "docker")}
    database = sqlite.filled_database(indexed, indexed)[0]
    found = findings(fork_module, database.url, compose=compose)
    assert set(found) == (set() if elsewhere == "report" else {"periodic_task_unknown"})
    assert [call.split()[0] for call in engine.asked()] == ["ps", "inspect", "exec", "exec"]
    database.drop()
