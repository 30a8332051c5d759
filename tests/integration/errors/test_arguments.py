# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user can write wrong: each gets a clear error, and nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.running import ModuleRun
from support.servers import Database, SQLite
from support.tables import (
    Ago,
    Rows,
    UniqueText,
    create_celery_tables,
    create_processing_tasks,
    create_reading_sessions,
    create_task_logs,
    dump,
    fill,
)

RunModule = Callable[..., ModuleRun]
Arguments = dict[str, Any]

DAY = 86_400.0
TASKS: Arguments = {"profile": "processing_tasks"}
CELERY: Arguments = {"profile": "celery_database"}
SESSIONS: Arguments = {"profile": "reading_sessions"}
EVERY_MODULE = ("results_index", "results_info", "results_purge", "zombie_fail", "results_vacuum")
RULES_OF = {"results_info": "zombie_rules", "results_purge": "rules", "zombie_fail": "rules"}
ZOMBIE = {"statuses": ["RUNNING"], "older_than": "24h"}


def _records(database: Database) -> None:
    """Rows that every default rule would change."""
    create_processing_tasks(database)
    create_celery_tables(database)
    create_reading_sessions(database)
    task = {"task_type": "DOWNLOAD", "created_at": Ago(40 * DAY), "started_at": Ago(40 * DAY)}
    fill(
        database,
        "processing_tasks",
        [Rows(3, {**task, "status": status}) for status in ("SUCCESS", "FAILURE", "RUNNING", "PENDING")],
    )
    done = {"task_id": UniqueText(), "date_done": Ago(40 * DAY)}
    fill(database, "celery_taskmeta", [Rows(3, {**done, "status": status}) for status in ("SUCCESS", "STARTED")])
    session = {"user_id": "1", "book_id": "2", "duration_minutes": 0, "start_position": 1, "is_active": True}
    fill(database, "reading_sessions", [Rows(3, {"id": UniqueText(), "started_at": Ago(DAY), **session})])


@pytest.fixture(scope="module")
def records(sqlite: SQLite) -> Database:
    return sqlite.filled_database(_records, _records)[0]


def _refused(run: ModuleRun, words: tuple[str, ...]) -> None:
    assert run.get("failed") is True, run
    assert run.get("changed", False) is False
    assert run.exit_code == 1
    for word in words:
        assert word in run["msg"]
    assert "Traceback" not in run.output
    assert "exception" not in run
    # Short enough to be read, and one paragraph.
    assert len(run["msg"]) < 600
    assert "\n" not in run["msg"]


def _rule(module: str, **rule: Any) -> Arguments:
    return {**TASKS, RULES_OF[module]: [rule]}


def _cases() -> list[Any]:
    cases: list[tuple[str, str, Arguments, tuple[str, ...]]] = []

    def case(module: str, name: str, arguments: Arguments, *words: str) -> None:
        cases.append((module, name, arguments, words))

    for module in EVERY_MODULE:
        case(module, "profile", {"profile": "sidekiq"}, "profile", "processing_tasks", "sidekiq")
        case(module, "missing-table", {}, "no table django_celery_results_taskresult", "processing_tasks", "profile")
        case(module, "other-table", {**TASKS, "table": "tasks"}, "no table tasks", "celery_taskmeta, ")
        case(
            module,
            "column",
            {**TASKS, "columns": {"status": "state"}},
            "lacks the column state",
            "task_type",
            "columns",
        )
        case(module, "column-word", {**TASKS, "columns": {"state": "status"}}, "state", "unknown", "status, ")
        case(module, "empty-column", {**TASKS, "columns": {"status": ""}}, "columns: status has no column's name")
        case(module, "table-name", {**TASKS, "table": ".tasks"}, "'.tasks'", "schema.table")
        case(module, "unknown-option", {**TASKS, "older_than": "7d"}, "Unsupported parameters", "older_than", "profile")
    for module in RULES_OF:
        limits = {"older_than": "7d", "statuses": ["FAILURE"]}
        case(module, "rule-key", _rule(module, **limits, olderthan="7d"), "olderthan", "older_than")
        case(module, "empty-rules", {**TASKS, RULES_OF[module]: []}, "empty list", "profile's own rules")
        case(module, "no-statuses", _rule(module, **{**limits, "statuses": []}), "rule 1", "statuses", "at least one")
        for name, text in (
            ("words", "7 days"),
            ("unit", "7x"),
            ("negative", "-7d"),
            ("number", "7"),
            ("huge", "9999w"),
        ):
            case(
                module,
                f"age-{name}",
                _rule(module, **{**limits, "older_than": text}),
                "rule 1: older_than",
                f"'{text}'",
            )
        twice = [{"name": "old", **limits}, {"name": "old", **limits}]
        case(module, "rule-names", {**TASKS, RULES_OF[module]: twice}, "Two rules are called 'old'")
    for module in ("results_info", "zombie_fail"):
        case(module, "no-age", _rule(module, statuses=["RUNNING"]), "older_than", "rules")
        case(module, "any-status", _rule(module, **{**ZOMBIE, "statuses": ["*"]}), "rule 1", "unfinished")
        case(module, "since", _rule(module, **ZOMBIE, since="finished"), "since", "started, created", "finished")

    purge, zombies, vacuum = "results_purge", "zombie_fail", "results_vacuum"
    case(purge, "says-nothing", _rule(purge, name="mine"), "rule mine", "nothing about which rows", "confirm")
    case(purge, "all", _rule(purge, all=True), "every row of processing_tasks", "set confirm", "processing_tasks")
    wrong = {**_rule(purge, all=True), "confirm": "processing_task"}
    case(purge, "all-confirm", wrong, "every row of processing_tasks", "set confirm")
    case(purge, "all-and-age", _rule(purge, all=True, older_than="7d"), "rule 1: all", "no other condition")
    case(purge, "match", _rule(purge, older_than="7d", match="exact"), "rule 1: match needs tasks")
    case(purge, "match-kind", _rule(purge, tasks=["x"], match="regex"), "match", "contains, exact, glob", "regex")
    case(purge, "empty-task", _rule(purge, tasks=[""]), "rule 1", "tasks", "not empty")
    case(purge, "keep-none", _rule(purge, keep_last=0), "rule 1: keep_last", "from 1")
    case(purge, "keep-negative", _rule(purge, keep_last=-1), "rule 1: keep_last", "from 1")
    case(purge, "max-rows", {**TASKS, "max_rows": 0}, "max_rows must be at least 1")
    case(purge, "batch-size", {**TASKS, "batch_size": -5}, "batch_size must be at least 1")
    case(purge, "max-percent", {**TASKS, "max_percent": 101}, "max_percent must lie between 0 and 100")
    case(purge, "max-percent-reached", {**TASKS, "max_percent": 10}, "6 of 12 rows", "50.0 %", "Nothing was deleted")
    for text in ("-1s", "soon"):
        for module in ("results_index", zombies, vacuum):
            case(module, f"lock_timeout-{text}", {**TASKS, "lock_timeout": text}, "lock_timeout", f"'{text}'", "90s")
    for option in ("time_budget", "pause", "lock_timeout"):
        for text in ("-1s", "soon"):
            case(purge, f"{option}-{text}", {**TASKS, option: text}, option, f"'{text}'", "90s")
    case(zombies, "same-status", _rule(zombies, **ZOMBIE, set_status="running"), "rule 1: set_status 'running'")
    flags = {"statuses": ["STARTED"], "older_than": "2h"}
    case(zombies, "session-status", {**SESSIONS, "rules": [flags]}, "no status STARTED", "ACTIVE, CLOSED")
    case(zombies, "no-dates", {**CELERY, "rules": [flags]}, "celery_taskmeta", "'started'", "date_done", "columns")
    readable = {**CELERY, "columns": {"started": "date_done"}, "rules": [{**flags, "set_status": "SUCCESS"}]}
    case(zombies, "celery-success", readable, "SUCCESS", "celery_taskmeta", "FAILURE and REVOKED")
    case("results_info", "period", {**TASKS, "period": "-1h"}, "period: '-1h'", "24h")
    case("results_info", "top", {**TASKS, "top": -1}, "top must not be negative")
    case(vacuum, "mode", {**TASKS, "mode": "freeze"}, "mode", "auto, vacuum, analyze, reindex, full", "freeze")
    case(vacuum, "reindex", {**TASKS, "mode": "reindex"}, "SQLite", "use mode vacuum")
    case(vacuum, "full", {**TASKS, "mode": "full"}, "locks processing_tasks", "set confirm", "processing_tasks")
    case(vacuum, "full-confirm", {**TASKS, "mode": "full", "confirm": "tasks"}, "set confirm")
    for percent in (-1, 101):
        case(
            vacuum, f"percent{percent}", {**TASKS, "min_dead_percent": percent}, "min_dead_percent", "between 0 and 100"
        )
    return [pytest.param(*one[:1], *one[2:], id=f"{one[0]}-{one[1]}") for one in cases]


@pytest.mark.parametrize(("module", "arguments", "words"), _cases())
def test_a_wrong_argument_is_named(
    records: Database, fork_module: RunModule, module: str, arguments: Arguments, words: tuple[str, ...]
) -> None:
    before = dump(records)
    _refused(fork_module(module, {"database_url": records.url, **arguments}), words)
    assert dump(records) == before


URLS = [
    pytest.param("shop", ("does not parse", "scheme://user:password@host:port/database", "%XX"), id="no-url"),
    pytest.param("postgresql://app:p@db:port/shop", ("does not parse", "%XX"), id="port"),
    pytest.param("redis://localhost/0", ("redis://", "postgresql, mysql, mariadb or sqlite"), id="redis"),
    pytest.param("postgresql+pg8000://app:p@db/shop", ("pg8000", "psycopg or psycopg2"), id="driver"),
    pytest.param("postgresql://app:p@db", ("names no database",), id="no-database"),
]


@pytest.mark.parametrize(("url", "words"), URLS)
@pytest.mark.parametrize("module", EVERY_MODULE)
def test_a_url_that_cannot_be_used_is_not_repeated(
    fork_module: RunModule, module: str, url: str, words: tuple[str, ...]
) -> None:
    run = fork_module(module, {"database_url": url, **TASKS})
    _refused(run, words)
    assert "app:p@" not in run["msg"]


@pytest.mark.parametrize("module", EVERY_MODULE)
def test_a_file_that_is_not_there_is_not_made(fork_module: RunModule, module: str, tmp_path: Path) -> None:
    file = tmp_path / "results.db"
    _refused(fork_module(module, {"database_url": f"sqlite:///{file}", **TASKS}), (str(file), "does not exist"))
    assert not file.exists()


@pytest.mark.parametrize("module", EVERY_MODULE)
def test_exactly_one_place_names_the_database(fork_module: RunModule, module: str) -> None:
    both = {"database_url": "sqlite:////srv/results.db", "compose": {"project_dir": "/srv/shop"}}
    _refused(fork_module(module, both), ("database_url|compose", "mutually exclusive"))
    _refused(fork_module(module, {}), ("one of the following is required", "database_url, compose"))
    _refused(fork_module(module, {"compose": {}}), ("one of the following is required", "project_dir, project_name"))


@pytest.mark.parametrize("module", [*EVERY_MODULE, "deployment_info"])
def test_what_the_environment_says_is_for_tasks_that_say_nothing(run_module: RunModule, module: str) -> None:
    compose = {"project_dir": "/srv/shop", "docker_cli": "/srv/no-docker"}
    run = run_module(module, {"compose": compose}, env={"CELERY_DATABASE_URL": "sqlite:////srv/results.db"})
    assert "The command /srv/no-docker cannot be run" in run.get("msg", str(run.get("findings")))
    assert "results.db" not in run.output


HOSTILE = "\"; DROP TABLE processing_tasks; -- `%s %(x)s {{ 7 * 7 }} :x \\ ' ü"


@pytest.mark.parametrize("module", EVERY_MODULE)
@pytest.mark.parametrize("where", ["table", "schema", "columns"])
def test_a_hostile_name_is_only_a_name(
    make_database: Callable[..., Database], fork_module: RunModule, module: str, where: str
) -> None:
    database = make_database(create_processing_tasks)
    hostile: dict[str, Arguments] = {
        "table": {"table": HOSTILE},
        "schema": {"table": f"{HOSTILE}.processing_tasks"},
        "columns": {"columns": {"status": HOSTILE}},
    }
    before = dump(database)
    run = fork_module(module, {"database_url": database.url, **TASKS, **hostile[where]})
    _refused(run, ("DROP TABLE processing_tasks; --",))
    # Some servers refuse even to look for such a table.
    assert re.search("created_at" if where == "columns" else "no table|refused", run["msg"])
    assert dump(database) == before


def test_a_hostile_task_selects_nothing(make_database: Callable[..., Database], fork_module: RunModule) -> None:
    database = make_database(_tasks_by_name)
    before = dump(database)
    for match in ("contains", "exact", "glob"):
        rule = {"tasks": [HOSTILE, "' OR '1'='1", "%", "_"], "match": match}
        run = fork_module("results_purge", {"database_url": database.url, "profile": "task_logs", "rules": [rule]})
        assert (run["changed"], run["matched"]) == (False, 0)
    assert dump(database) == before


def _tasks_by_name(database: Database) -> None:
    create_task_logs(database)
    row = {"task_id": UniqueText(), "task_name": "shop.tasks.add", "status": "SUCCESS", "created_at": Ago(DAY)}
    fill(database, "task_logs", [Rows(5, row)])
