# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that is killed leaves rows behind that its container proves dead; what still runs is left alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.command import run_command, write_policy
from support.docker import ComposeProject, DockerRecorder, docker
from support.running import run_module, run_playbook
from support.servers import Database
from support.tables import fill
from support.tables.rows import DAY, TASK_RESULT, task_results
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


@contextmanager
def _one_gone_and_one_alive(shop: ComposeProject) -> Iterator[tuple[Database, dict[str, Any]]]:
    """Two started tasks of ten seconds ago, whose age would end both; an ended one is deleted by the same run."""
    database = shop.database()
    (beat,) = shop.containers("celery_beat")
    hosts = {"gone": "0123456789ab", "alive": beat[:12]}
    rows = [
        task_results(
            1,
            "STARTED",
            days=10 / DAY,
            task_name=f"shop.{task}",
            result=json.dumps({"pid": 1, "hostname": f"w@{host}"}),
        )
        for task, host in hosts.items()
    ]
    fill(database, TASK_RESULT, rows)
    table = {
        "proof": "containers",
        "zombie_rules": [{"statuses": ["STARTED"], "older_than": "1s"}],
        "purge_rules": [{"tasks": ["shop."]}],
    }
    try:
        yield database, table
    finally:
        database.execute(f"DELETE FROM {TASK_RESULT}")


def test_a_worker_beside_the_project_lives(shop: ComposeProject, library: ComposeProject, tmp_path: Path) -> None:
    """One of another project, which writes into the same database; who is nowhere is dead."""
    (tmp_path / "bin").mkdir()
    recorder = DockerRecorder(tmp_path / "bin")
    (other,) = library.containers("celery_worker")
    with _one_gone_and_one_alive(shop) as (database, table):
        database.execute(
            f"UPDATE {TASK_RESULT} SET result = :owner, date_done = now() WHERE task_name = 'shop.alive'",
            owner=json.dumps({"pid": 1, "hostname": f"w@{other[:12]}"}),
        )
        compose = {"project_dir": str(shop.folder), "docker_cli": str(recorder.path)}
        arguments = {"compose": compose, "proof": "containers", "rules": table["zombie_rules"]}
        done = run_module("zombie_fail", arguments)
        assert {one["task"]: one["verdict"] for one in done["verdicts"]} == {
            "shop.gone": "container_gone", "shop.alive": "alive",
        }  # fmt: skip
        # The engine is asked a second time, and once, for there was somebody whom the project did not have.
        assert [call.split()[0] for call in recorder.calls()] == ["ps", "inspect"] * 2 + ["exec"]
        assert _left(database) == [("shop.alive", "STARTED"), ("shop.gone", "FAILURE")]


def _left(database: Database) -> list[tuple[str, str]]:
    return [tuple(row) for row in database.execute(f"SELECT task_name, status FROM {TASK_RESULT} ORDER BY task_name")]


def test_the_playbook_cleanup_asks_the_containers(shop: ComposeProject, tmp_path: Path) -> None:
    with _one_gone_and_one_alive(shop) as (database, table):
        host = {"ansible_connection": "local", "celery_compose_project_dir": str(shop.folder)}
        inventory = tmp_path / "hosts.json"

        def clean(check: bool = False, **variables: Any) -> tuple[int, Any]:
            hosts = {"shop": {**host, "cleanup_tables": [table], **variables}}
            inventory.write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
            done = run_playbook("fleetops.celery.cleanup", inventory, check=check)
            return done.exit_code, done

        for check in (True, False):
            code, done = clean(check)
            assert code == 0, done.output
            assert [done.results(module, "shop")[0]["matched"] for module in ("zombie_fail", "results_purge")] == [1, 1]
        assert _left(database) == [("shop.alive", "STARTED")]
        code, done = clean()
        assert (code, done.recap["shop"]["changed"]) == (0, 0)
        code, done = clean(celery_database_url="postgresql://shop:x@127.0.0.1:1/shop")
        assert code == 2
        assert "cleanup_tables has an element with proof" in done.output


def test_the_command_asks_the_containers(shop: ComposeProject, tmp_path: Path) -> None:
    with _one_gone_and_one_alive(shop) as (database, table):
        document = {"compose": {"project_dir": str(shop.folder)}, "tables": [table]}
        policy = write_policy(tmp_path / "policy.json", document)
        for options in (["--dry-run"], []):
            done = run_command("run", "--policy", policy, "--json", *options)
            assert done.exit_code == 0, done.out + done.err
            (told,) = done.document["tables"]
            assert (told["zombies"]["matched"], told["purge"]["matched"]) == (1, 1)
        assert _left(database) == [("shop.alive", "STARTED")]
