# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong is said in words and by the exit code, and nothing is changed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command import command_environment, command_line, run_command, write_policy
from support.servers import Database
from support.servers.processes import free_port
from support.tables import create_django_celery_results, dump, fill
from support.tables.rows import TASK_RESULT, task_results

SECRET = "Pa55word"
URL = f"postgresql://shop:{SECRET}@127.0.0.1/shop"


def _shop(database: Database) -> None:
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(30, days=30), task_results(2, "STARTED", days=30)])


@pytest.fixture
def shop(make_database: Callable[..., Database]) -> Database:
    return make_database(_shop)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Say where the database is"),
        (["stats", "--period", "a day"], "argument --period: 'a day' is not a duration. Write a whole number"),
        (["stats", "--top", "0"], "argument --top: '0' is not a whole number from 1"),
        (["clean"], "invalid choice: 'clean'"),
        (["purge", "--day", "7"], "unrecognized arguments: --day"),
        (["purge", "--days", "0"], "argument --days: '0' is not a whole number from 1"),
        (["purge", "--days", "1.5"], "argument --days: '1.5' is not a whole number from 1"),
        (["run", "--profile", "celery"], "argument --profile: invalid choice: 'celery'"),
        (["run", "--project-dir", "/srv", "--database-url", URL], "not allowed with argument"),
        (["run"], "Say where the database is"),
        (
            ["run", "--policy", "/nowhere/policy.json"],
            "/nowhere/policy.json cannot be read: No such file or directory.",
        ),
        (["run", "--policy", "/"], "/ cannot be read: Is a directory."),
        (["run", "--database-url", f"oracle://shop:{SECRET}@h/d"], "which is not supported"),
        (["run", "--database-url", f"postgresql://shop:{SECRET}@x@h/d"], "database_url does not parse"),
        (["run", "--database-url", URL], "--database-url must not hold a password"),
        (["run", "--database-url", f"mysql://h/d?passwd={SECRET}"], "variable CELERY_DATABASE_URL, the policy file"),
    ],
)
def test_wrong_usage(options: list[str], message: str) -> None:
    done = run_command(*options)
    assert (done.exit_code, done.out) == (2, "")
    assert message in done.err
    assert SECRET not in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["purge", "--force-status", "failure"], "--force-status and --older-than go together"),
        (["purge", "--older-than", "5"], "--force-status and --older-than go together"),
        (["purge", "--high-frequency"], "name the tasks, here or in the policy's high_frequency_tasks"),
        (["purge", "--all"], f"set confirm to the table's name: {TASK_RESULT}"),
        (["purge", "--all", "--confirm", "other"], f"set confirm to the table's name: {TASK_RESULT}"),
        (["purge", "--all", "--days", "3", "--task-name", "x", "--table", "none"], "has no table none"),
        (["run", "--failure-retention", "3"], f"{TASK_RESULT} has no rule for FAILURE alone"),
        (["run", "--pending-timeout", "3"], f"{TASK_RESULT} has no rule for tasks by the time since they were created"),
    ],
)
def test_what_only_the_tables_tell(shop: Database, options: list[str], message: str) -> None:
    before = dump(shop)
    done = run_command(*options, database=shop)
    assert done.exit_code == 2
    assert message in done.err
    assert dump(shop) == before


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "policy.json is no JSON: Expecting property name"),
        ([URL], "policy.json must hold a JSON object with the policy's keys."),
        ({"database_url": 5}, "policy: database_url must be text, not something else."),
        ({"database_url": URL, "compose": {"project_name": "shop"}}, "with database_url or with compose, and not"),
        ({"database_url": URL, "tabels": []}, "policy: unknown key tabels; known are database_url, compose, tables"),
        ({"database_url": URL, "limits": {"max_row": 5}}, "policy: limits: unknown key max_row"),
        (
            {"database_url": URL, "limits": {"max_rows": "5"}},
            "policy: limits: max_rows must be a whole number, not '5'.",
        ),
        ({"database_url": URL, "limits": {"time_budget": "1y"}}, "'1y' is not a duration"),
        ({"database_url": URL, "archive": {"compression": "gzip"}}, "policy: archive: path is missing"),
        ({"database_url": URL, "archive": {"path": "/srv", "compression": "bz2"}}, "compression 'bz2' is unknown"),
        ({"database_url": URL, "tables": [{"profile": "celery"}]}, "policy: table 1: profile 'celery' is unknown"),
        ({"database_url": URL, "tables": [{"purge_rules": [{"older": "1d"}]}]}, "rule 1: unknown key older"),
        (
            {"database_url": URL, "tables": [{"columns": {"finished": ["date_done"]}}]},
            "policy: table 1: columns: finished has no column's name.",
        ),
        (
            {"database_url": URL, "tables": [{}, {"proof": "containers"}]},
            "policy: table 2: proof containers asks Docker",
        ),
        ({"compose": {"project_name": "shop"}, "tables": [{"proof": "pids"}]}, "table 1: proof 'pids' is unknown"),
        (
            {"compose": {"project_name": "shop"}, "tables": [{"profile": "processing_tasks", "proof": "containers"}]},
            "policy: table 1: proof containers needs a table whose rows name their process",
        ),
    ],
)
def test_a_policy_that_is_wrong(tmp_path: Path, document: Any, message: str) -> None:
    status = tmp_path / "status.json"
    path = write_policy(tmp_path / "policy.json", document)
    done = run_command("run", "--policy", path, "--status-file", str(status))
    assert (done.exit_code, done.out) == (2, "")
    assert message in done.err
    assert SECRET not in done.err + status.read_text()
    told = json.loads(status.read_text())
    assert (told["exit_code"], told["tables"]) == (2, [])
    assert message in told["error"]

    document = run_command("run", "--policy", path, "--json").document
    assert (document["exit_code"], document["tables"]) == (2, [])
    assert message in document["error"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
@pytest.mark.parametrize("option", ["--policy", "--database-url-file"])
def test_a_file_that_others_may_use(shop: Database, tmp_path: Path, option: str, mode: int) -> None:
    content = json.dumps({"database_url": shop.url}) if option == "--policy" else shop.url + "\n"
    path = write_policy(tmp_path / "file", content, mode)
    refused = run_command("run", option, path)
    assert refused.exit_code == 2
    assert f"{path} holds secrets, and others may use it: chmod 600 {path}" in refused.err
    (tmp_path / "file").chmod(0o400)
    assert run_command("stats", option, path).exit_code == 0


def test_a_file_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.fleetops.celery.plugins.module_utils._engine.cli.policy_file import read_private
    from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError

    path = tmp_path / "policy.json"
    path.touch(0o600)
    if os.geteuid() == 0:
        os.chown(path, 1, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 1)
    with pytest.raises(UsageError, match="belongs to another user; it must be yours or root's"):
        read_private(str(path))


def test_without_the_rights(role_database: Database, tmp_path: Path) -> None:
    _shop(role_database)
    before = dump(role_database)
    status = tmp_path / "status.json"
    done = run_command("run", "--status-file", str(status), database=role_database, url=role_database.viewer_url)
    assert done.exit_code == 1
    assert f"Error: {TASK_RESULT}: " in done.err
    (told,) = json.loads(status.read_text())["tables"]
    assert (told["exit_code"], told["deleted"]) == (1, 0)
    assert told["error"] in done.err
    assert dump(role_database) == before


def test_a_server_that_is_away(tmp_path: Path) -> None:
    url = f"postgresql://shop:{SECRET}@127.0.0.1:{free_port()}/shop"
    path = write_policy(tmp_path / "url", url)
    done = run_command("run", "--database-url-file", path, "--json")
    assert (done.exit_code, done.document["exit_code"]) == (1, 1)
    assert "127.0.0.1" in done.document["error"]
    assert SECRET not in done.out + done.err


def test_a_project_that_does_not_run(tmp_path: Path) -> None:
    done = run_command("run", "--project-dir", str(tmp_path))
    assert (done.exit_code, done.out) == (1, "")
    assert "docker" in done.err.lower() or str(tmp_path) in done.err


def test_a_status_file_that_cannot_be_written(shop: Database) -> None:
    done = run_command("run", "--status-file", "/nowhere/status.json", database=shop)
    assert done.exit_code == 1
    assert "The status file /nowhere/status.json cannot be written: No such file or directory." in done.err
    assert shop.count(TASK_RESULT) == 2


def test_nobody_reads_what_it_says(shop: Database) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command_line("run"),
        env=command_environment(shop),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
    assert shop.count(TASK_RESULT) == 2


def test_a_locale_without_the_characters(shop: Database) -> None:
    done = run_command("run", database=shop, env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "LANG": "C"})
    assert done.exit_code == 0
    assert "deleted 30 records" in done.out
