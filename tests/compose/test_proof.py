# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that is killed leaves rows behind that its container proves dead; what still runs is left alone."""

from __future__ import annotations

import json

from support.docker import ComposeProject, docker
from support.running import run_module
from support.tables.rows import TASK_RESULT
from support.waiting import wait_until


def test_killed_and_living_tasks_are_told_apart(shop: ComposeProject) -> None:
    database = shop.database()
    database.execute(f"DELETE FROM {TASK_RESULT}")
    started = f"SELECT task_id, result FROM {TASK_RESULT} WHERE status = 'STARTED'"
    victim, survivor = (container[:12] for container in shop.containers("celery_worker"))

    def both_at_work() -> bool:
        """Which container takes a task is theirs to say, so tasks are sent until both have one."""
        owners = "".join(result for _task, result in database.execute(started))
        if victim in owners and survivor in owners:
            return True
        shop.send("crawl", 120)
        return False

    wait_until(both_at_work, seconds=60.0)
    docker("kill", "--signal=KILL", victim)
    hosts = dict(database.execute(started))
    dead = {task for task, owner in hosts.items() if victim in owner}

    arguments = {"compose": {"project_dir": str(shop.folder)}, "proof": "containers"}
    rehearsed = run_module("zombie_fail", arguments, check=True)
    assert rehearsed["matched"] == len(dead), rehearsed
    done = run_module("zombie_fail", arguments)
    assert done["ended"] == len(dead), done
    assert {row["identity"]: row["verdict"] for row in done["rows"]} == dict.fromkeys(dead, "container_stopped")
    # What lives is told too, with the process that each row names.
    examined = {row["identity"]: row for row in done["verdicts"]}
    for task, owner in hosts.items():
        named = json.loads(owner)
        assert named == {"pid": examined[task]["pid"], "hostname": f"celery@{examined[task]['host']}"}
        assert examined[task]["verdict"] == ("container_stopped" if task in dead else "alive")
    assert {row["identity"]: row["verdict"] for row in rehearsed["verdicts"]}.items() >= dict.fromkeys(
        hosts.keys() - dead, "alive"
    ).items()
    assert any(f"{len(dead)} container_stopped" in line for line in done["report"])
    statuses = dict(database.execute(f"SELECT task_id, status FROM {TASK_RESULT}"))
    assert {task: statuses[task] for task in hosts} == {
        task: "FAILURE" if task in dead else "STARTED" for task in hosts
    }
    again = run_module("zombie_fail", arguments)
    assert again["changed"] is False
    assert {row["verdict"] for row in again["verdicts"]} == {"alive"}

    # Age alone would end the living ones; their processes protect them.
    rules = [{"statuses": ["STARTED"], "older_than": "1s"}]
    assert run_module("zombie_fail", {**arguments, "rules": rules})["changed"] is False
    without_proof = {"compose": arguments["compose"], "rules": rules}
    assert run_module("zombie_fail", without_proof, check=True)["matched"] >= len(hosts) - len(dead) > 0
    database.execute(f"DELETE FROM {TASK_RESULT}")
    shop.compose("up", "--detach", "--wait", "celery_worker")
