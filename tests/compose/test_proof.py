# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that is killed leaves rows behind that its container proves dead; what still runs is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable

from support.docker import ComposeProject, docker
from support.running import run_module
from support.tables.rows import TASK_RESULT


def _wait(until: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


def test_killed_and_living_tasks_are_told_apart(shop: ComposeProject) -> None:
    database = shop.database()
    database.execute(f"DELETE FROM {TASK_RESULT}")
    tasks = [shop.send("crawl", 60) for _number in range(2)]
    started = f"SELECT task_id, result FROM {TASK_RESULT} WHERE status = 'STARTED'"
    _wait(lambda: len(database.execute(started)) == 2)
    hosts = dict(database.execute(started))
    # Two containers take two tasks in any way; the one that has the first task is killed.
    victim = next(one for one in shop.containers("celery_worker") if one[:12] in hosts[tasks[0]])
    dead = {task for task, owner in hosts.items() if victim[:12] in owner}
    docker("kill", "--signal=KILL", victim)

    arguments = {"compose": {"project_dir": str(shop.folder)}, "proof": "containers"}
    rehearsed = run_module("zombie_fail", arguments, check=True)
    assert rehearsed["matched"] == len(dead), rehearsed
    done = run_module("zombie_fail", arguments)
    assert done["ended"] == len(dead), done
    assert {row["identity"]: row["verdict"] for row in done["rows"]} == dict.fromkeys(dead, "container_stopped")
    statuses = dict(database.execute(f"SELECT task_id, status FROM {TASK_RESULT}"))
    assert statuses == {task: "FAILURE" if task in dead else "STARTED" for task in tasks}
    assert run_module("zombie_fail", arguments)["changed"] is False

    # Age alone would end the living one; its process protects it.
    database.execute(f"UPDATE {TASK_RESULT} SET date_done = '2020-01-01 00:00:00' WHERE status = 'STARTED'")
    assert run_module("zombie_fail", arguments)["changed"] is False
    database.execute(f"DELETE FROM {TASK_RESULT}")
    shop.compose("up", "--detach", "--wait", "celery_worker")
