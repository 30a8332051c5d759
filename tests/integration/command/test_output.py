# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bar on a terminal, plain lines in a log, and a file for monitoring."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from support.command import command_environment, command_line, run_command, write_policy
from support.servers import Database
from support.tables import create_django_celery_results, create_processing_tasks, fill
from support.tables.rows import TASK_RESULT, processing_rows, task_results

LIMITS = {"batch_size": 10, "pause": "1s"}


@pytest.fixture
def shop(postgresql_database: Database) -> Database:
    create_django_celery_results(postgresql_database)
    fill(postgresql_database, TASK_RESULT, [task_results(140, days=30)])
    postgresql_database.execute(f"ANALYZE {TASK_RESULT}")
    return postgresql_database


def test_a_bar_on_a_terminal(shop: Database, tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy.json", {"limits": {**LIMITS, "max_rows": 30}})
    reading, writing = pty.openpty()
    process = subprocess.Popen(
        command_line("purge", "--policy", policy),
        env=command_environment(shop, COLUMNS="70"),
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
    )
    os.close(writing)
    out, _nothing = process.communicate(timeout=60)
    seen = b""
    try:
        while part := os.read(reading, 4096):
            seen += part
    except OSError:
        pass  # so a terminal ends
    os.close(reading)
    assert process.returncode == 3
    bars = seen.decode().split("\r\033[K")
    # The first thing is to take the place, the last to give it back.
    assert (bars[0], bars[-1]) == ("", "")
    bars = bars[1:-1]
    assert all(len(one) < 70 for one in bars)
    assert bars[0].startswith(f"[{'.' * 24}] {TASK_RESULT}: 0 of ")
    assert any(re.match(r"\[#{8}\.{16}\] ", one) for one in bars)
    assert "\033" not in out


def test_lines_in_a_log(shop: Database, tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy.json", {"limits": LIMITS})
    done = run_command("purge", "--policy", policy, "--json", database=shop)
    assert done.exit_code == 0
    assert done.document["tables"][0]["purge"]["deleted"] == 140
    # 14 batches with a second after each: one line after ten of them, and none a moment later.
    (line,) = done.err.splitlines()
    assert re.fullmatch(rf"{TASK_RESULT}: \d+ of about \d+ rows \(\d+ %\), \d+ rows/s, \d+ s left", line)
    assert line.isprintable()


def test_a_quick_run_in_a_log_is_its_report_alone(shop: Database) -> None:
    done = run_command("run", database=shop)
    assert (done.exit_code, done.err) == (0, "")
    assert all(line.isprintable() for line in done.out.splitlines())


def test_the_status_file(shop: Database, tmp_path: Path) -> None:
    create_processing_tasks(shop)
    fill(shop, "processing_tasks", [processing_rows(3, "RUNNING", days=2)])
    status = tmp_path / "status.json"
    policy = write_policy(tmp_path / "policy.json", {"limits": {"max_rows": 100}})
    assert run_command("run", "--policy", policy, "--status-file", str(status), database=shop).exit_code == 3
    told = json.loads(status.read_text())
    assert {key: told[key] for key in ("command", "dry_run", "exit_code", "error")} == {
        "command": "run", "dry_run": False, "exit_code": 3, "error": None
    }  # fmt: skip
    assert told["started"] <= told["finished"]
    assert told["duration_seconds"] > 0
    left, ended = told["tables"]
    assert left == {
        "table": TASK_RESULT, "deleted": 100, "ended": 0, "remaining": 40, "stopped": "max_rows", "exit_code": 3,
        "error": None,
    }  # fmt: skip
    assert (ended["table"], ended["ended"], ended["stopped"], ended["exit_code"]) == (
        "processing_tasks",
        3,
        "drained",
        0,
    )
    assert status.stat().st_mode & 0o777 == 0o644
    assert run_command("run", "--policy", policy, "--status-file", str(status), database=shop).exit_code == 0
    assert json.loads(status.read_text())["exit_code"] == 0
    assert sorted(os.listdir(tmp_path)) == ["policy.json", "status.json"]


def test_every_command_writes_one(shop: Database, tmp_path: Path) -> None:
    for command in ("stats", "purge", "fail-zombies", "vacuum"):
        status = tmp_path / command
        assert run_command(command, "--status-file", str(status), database=shop).exit_code == 0
        told = json.loads(status.read_text())
        assert (told["command"], told["exit_code"]) == (command, 0)
