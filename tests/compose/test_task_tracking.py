# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role task_tracking on a running project: what the web service sends and the worker does is recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.docker import ComposeProject, Images, up
from support.running import PlaybookRun, run_playbook
from support.waiting import wait_until

PLAYBOOK = """\
---
- name: Track
  hosts: all
  gather_facts: false
  roles: [fleetops.celery.task_tracking]
"""
TRACKED = {"backend", "celery_worker", "celery_beat"}


@pytest.fixture(scope="module")
def tracked(images: Images) -> Iterator[ComposeProject]:
    with up(f"tracked-{os.getpid()}", images, services=["db"], one_file=True) as project:
        path = project.folder / "compose.yml"
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        # Who may read the database's URL.
        document["services"]["celery_worker"].update(user="1000:1000", tmpfs=["/run:uid=1000"])
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        project.start()
        yield project


class Host:
    """The project as a host of an inventory, with the role's variables."""

    def __init__(self, project: ComposeProject, scratch: Path) -> None:
        self.project = project
        self.folder = Path("/opt/fleetops-celery/deployments") / project.name
        self._playbook, self._inventory = scratch / "track.yml", scratch / "hosts.json"
        self._playbook.write_text(PLAYBOOK, encoding="utf-8")

    def run(self, *, check: bool = False, diff: bool = False, **variables: Any) -> PlaybookRun:
        host = {"ansible_connection": "local", "celery_compose_project_dir": str(self.project.folder), **variables}
        self._inventory.write_text(json.dumps({"all": {"hosts": {self.project.name: host}}}), encoding="utf-8")
        return run_playbook(self._playbook, self._inventory, check=check, diff=diff)

    def changed(self, **options: Any) -> int:
        """How many tasks changed something."""
        done = self.run(**options)
        assert done.exit_code == 0, done.output
        assert self.project.password not in done.output
        return done.recap[self.project.name]["changed"]

    def state(self) -> dict[str, Any]:
        """What the role touches, but for the tables and the containers' identities."""
        return {
            "files": {path.name: path.read_text() for path in self.project.folder.glob("compose*")},
            "installed": sorted(str(path) for path in self.folder.rglob("*")) if self.folder.exists() else None,
        }


@pytest.fixture
def host(tracked: ComposeProject, tmp_path: Path) -> Iterator[Host]:
    host = Host(tracked, tmp_path)
    yield host
    if host.folder.exists():
        # A test has failed; the next one begins anew.
        host.run(task_tracking_state="absent")


def test_a_project_records_what_its_tasks_do(host: Host) -> None:
    project = host.project
    before = host.state()

    assert host.changed(check=True, diff=True) > 0
    assert host.state() == before

    assert host.changed(diff=True) > 0
    after = host.state()
    assert after["files"]["compose.yml"] == before["files"]["compose.yml"]
    assert project.password not in after["files"]["compose.override.yml"]
    services = json.loads(after["files"]["compose.override.yml"].partition("\n")[2])["services"]
    assert set(services) == TRACKED
    secret = host.folder / "tracking" / "policy.json"
    assert (secret.stat().st_mode & 0o777, secret.stat().st_uid) == (0o600, 1000)

    assert host.changed(check=True) == 0
    assert host.changed() == 0
    assert host.state() == after

    database = project.database()
    task = project.send("crawl", 0).strip().splitlines()[-1]
    recorded = f"SELECT status, task_name, worker_name FROM task_logs WHERE task_id = '{task}'"
    wait_until(lambda: [row[0] for row in database.execute(recorded)] == ["SUCCESS"], 30)
    ((_status, name, worker),) = database.execute(recorded)
    assert name == "apps.scheduler.tasks.crawl"
    assert worker.startswith("celery@")
    # The sender's record and the worker's are of one task.
    ((queue,),) = database.execute(
        f"SELECT m.queue FROM task_metadata m JOIN task_logs t ON t.id = m.task_id WHERE t.task_id = '{task}'"
    )
    assert queue
    (online,) = database.execute("SELECT count(*) FROM worker_status WHERE status = 'ONLINE'")
    assert online == (1,)

    assert host.changed(check=True, task_tracking_state="absent") > 0
    assert host.state() == after
    assert host.changed(task_tracking_state="absent") > 0
    assert host.state() == before
    assert "CELERY_TRACKING" not in json.dumps(project.inspect("celery_worker")["Config"]["Env"])
    assert host.changed(task_tracking_state="absent") == 0


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"celery_worker_service": "celery_wroker"}, "No container of service celery_wroker runs"),
        ({"celery_worker_service": "redis"}, "cannot be asked whether it has Celery"),
        ({"task_tracking_services": ["fronted"]}, "No container of service fronted runs"),
        ({"task_tracking_tasks": ["a,b"]}, "is no task's name"),
        ({"task_tracking_queue_interval": -1}, "must not be negative"),
        ({"celery_compose_project_dir": "/nowhere"}, "There is no Compose file in /nowhere"),
        ({"task_tracking_database_url": "oracle://u:very-secret@db/x"}, "database_url must begin with"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_installed(host: Host, variables: dict[str, Any], words: str) -> None:
    before = host.state()
    done = host.run(**variables)
    assert done.exit_code == 2, done.output
    assert words in json.dumps([task["result"] for task in done.tasks]), done.output
    assert "very-secret" not in done.output
    assert host.state() == before


def test_a_foreign_override_file_is_left_alone(host: Host) -> None:
    (host.project.folder / "compose.override.yml").write_text("services: {}\n", encoding="utf-8")
    before = host.state()
    try:
        assert "was written by somebody else" in host.run().output
        assert host.changed(task_tracking_state="absent") == 0
        assert host.state() == before
    finally:
        (host.project.folder / "compose.override.yml").unlink()
