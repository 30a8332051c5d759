# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same policy by the role, the command and a Celery task, on copies of one database, comes to the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from support.applications import Application
from support.command import run_command, write_policy
from support.maintenance import MaintenanceWorker
from support.running import PlaybookRun
from support.servers import Database
from support.tables import (
    Dump,
    create_celery_tables,
    create_django_celery_results,
    create_processing_tasks,
    create_reading_sessions,
    create_task_logs,
    dump,
    fill,
)
from support.tables.rows import GROUP_RESULT, TASK_RESULT, group_results, processing_rows, task_log_rows, task_results

POLICY: dict[str, Any] = {
    # Named twice it is still one.
    "high_frequency_tasks": ["flush", "flush"],
    "tables": [
        {"profile": "django_celery_results", "purge_rules": [{"name": "old", "older_than": "5d"}]},
        # Its tasks that hang are ended, and nothing is deleted.
        {"profile": "processing_tasks", "purge_rules": [], "vacuum": {"mode": "none"}},
        {"profile": "task_logs", "zombie_rules": [{"statuses": ["STARTED"], "older_than": "12h", "reason": "gone"}]},
        {"profile": "reading_sessions", "zombie_rules": []},
    ],
    "limits": {"max_rows": 60, "batch_size": 20},
    "indexes": True,
}


def _rows(database: Database) -> None:
    create_django_celery_results(database)
    create_processing_tasks(database)
    create_task_logs(database)
    create_reading_sessions(database)
    rows = [
        task_results(90, days=6),
        task_results(25, days=0.2, task_name="shop.flush"),
        task_results(3, "STARTED", days=6),
        task_results(40, days=1),
    ]
    fill(database, TASK_RESULT, rows)
    fill(database, GROUP_RESULT, [group_results(4, days=6)])
    rows = [processing_rows(5, "RUNNING", days=2), processing_rows(9, "FAILURE", days=9), processing_rows(7, days=3)]
    fill(database, "processing_tasks", rows)
    fill(database, "task_logs", [task_log_rows(8, days=40), task_log_rows(2, "STARTED", days=0.6)])


def _comparable(found: Dump) -> Dump:
    """What a run wrote as the present moment differs from one run to the other."""
    recent = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(minutes=15)
    return {
        table: sorted((tuple("now" if _is_recent(value, recent) else value for value in row) for row in rows), key=repr)
        for table, rows in found.items()
    }


def _is_recent(value: Any, recent: datetime) -> bool:
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d \d\d:", value):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return False
    return (value.astimezone(timezone.utc).replace(tzinfo=None) if value.tzinfo else value) > recent


def _lines(lines: list[str]) -> list[str]:
    """A report without what was measured by a clock, or depends on how pages were filled."""
    return [
        re.sub(r"in [\d.]+ s|size .*|Size: .*|Dead rows: .*", "…", line)
        for line in lines
        if not line.startswith("  Note: ")
    ]


@pytest.mark.parametrize("check", [True, False], ids=["check", "for-real"])
def test_role_command_and_task(
    make_database: Callable[..., Database], run_playbook: Callable[..., PlaybookRun], tmp_path: Path, check: bool
) -> None:
    by_role, by_command, by_task = (make_database(_rows) for _number in range(3))
    inventory = tmp_path / "hosts.json"
    host = {"ansible_connection": "local", "celery_database_url": by_role.url}
    inventory.write_text(json.dumps({"all": {"hosts": {"shop": host}}}))
    variables = {f"cleanup_{key}": value for key, value in POLICY.items()}
    run = run_playbook("fleetops.celery.cleanup", inventory, variables, check=check)
    assert run.exit_code == 0, run.output
    policy = write_policy(tmp_path / "policy.json", {"database_url": by_command.url, **POLICY})
    options = ["run", "--policy", policy, *(["--dry-run"] if check else [])]

    done = run_command(*options, database=by_command)

    assert done.exit_code == (0 if check else 3)
    assert _comparable(dump(by_command)) == _comparable(dump(by_role))
    assert by_role.count("processing_tasks") == 21
    ended = "SELECT count(*) FROM processing_tasks WHERE status = 'RUNNING'"
    assert by_role.scalar(ended) == (5 if check else 0)
    told = [line for task in run.results("ansible.builtin.debug", "shop") for line in task["msg"]]
    assert _lines(done.out.splitlines()[3:-2]) == _lines(told)

    # The worker's own results are beside the tables of the policy.
    create_celery_tables(by_task)
    policy = write_policy(tmp_path / "policy-of-tasks.json", {"database_url": by_task.url, **POLICY})
    with MaintenanceWorker(Application(by_task, backend="database"), policy) as worker:
        answer = worker.call("run_policy", check=check)
    assert answer["state"] == "SUCCESS", answer
    left = {table: rows for table, rows in dump(by_task).items() if not table.startswith("celery_")}
    assert _comparable(left) == _comparable(dump(by_role))
    assert _lines(answer["value"]["report"]) == _lines(told)
