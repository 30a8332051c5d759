# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a schedule is told before anything is installed, and not by a task each night."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.maintenance_schedule import TASKS, parse_schedule

_TASKS = Path(__file__).resolve().parents[2] / "roles/beat_schedule/files/celery_maintenance/tasks.py"


def _parse(task: str, kwargs: Any) -> None:
    entry = {"name": "tidy", "task": task, "crontab": "0 2 * * *", "kwargs": kwargs}
    parse_schedule([entry], timezone="UTC", queue=None, priority=None)


def test_it_knows_what_the_tasks_take() -> None:
    tree = ast.parse(_TASKS.read_text(encoding="utf-8"))
    functions = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.decorator_list]
    taken = {
        one.name: {given.arg: ast.unparse(given.annotation) for given in one.args.args if given.annotation}
        for one in functions
    }
    assert {task: {key: kind.__name__ for key, kind in known.items()} for task, known in TASKS.items()} == taken


@pytest.mark.parametrize(
    ("task", "kwargs"),
    [
        ("run_policy", None),
        ("run_policy", {"check": True}),
        ("celery_maintenance.cleanup_celery_results", {"days_to_keep": 30, "remove_revoked": False}),
        ("get_cleanup_statistics", {"hours": 24}),
    ],
)
def test_what_a_task_takes_is_taken(task: str, kwargs: Any) -> None:
    _parse(task, kwargs)


@pytest.mark.parametrize(
    ("task", "kwargs", "words"),
    [
        ("cleanup_celery_results", {"days": 30}, "unknown key days; known are days_to_keep, remove_revoked"),
        ("close_abandoned_sessions", {"hours": 2}, "unknown key hours; known are none"),
        ("run_policy", {"check": "yes"}, "check must be true or false, not 'yes'"),
        ("run_policy", {"check": 1}, "check must be true or false, not 1"),
        ("cleanup_celery_results", {"days_to_keep": "7"}, "days_to_keep must be a whole number from 1 on, not '7'"),
        ("cleanup_celery_results", {"days_to_keep": 0}, "days_to_keep must be a whole number from 1 on, not 0"),
        ("cleanup_celery_results", {"days_to_keep": True}, "days_to_keep must be a whole number from 1 on, not True"),
    ],
)
def test_what_a_task_would_refuse_is_refused(task: str, kwargs: Any, words: str) -> None:
    with pytest.raises(UsageError, match=f"^tidy: kwargs: {words}"):
        _parse(task, kwargs)
