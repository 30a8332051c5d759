# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role task_tracking on a running project: what the web service sends and the worker does is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.docker import ComposeProject, Images, RoleHost, without_root
from support.waiting import wait_until

TRACKED = {"backend", "celery_worker", "celery_beat"}


@pytest.fixture(scope="module")
def tracked(images: Images) -> Iterator[ComposeProject]:
    with without_root("tracked", images) as project:
        yield project


@pytest.fixture
def host(tracked: ComposeProject, tmp_path: Path) -> Iterator[RoleHost]:
    host = RoleHost(tracked, tmp_path, "fleetops.celery.task_tracking")
    yield host
    if host.folder.exists():
        # A test has failed; the next one begins anew.
        host.run(task_tracking_state="absent")


def test_a_project_records_what_its_tasks_do(host: RoleHost) -> None:
    project = host.project
    before = host.files()

    assert host.changed(check=True, diff=True) > 0
    assert host.files() == before

    assert host.changed(diff=True) > 0
    after = host.files()
    assert after["project"]["compose.yml"] == before["project"]["compose.yml"]
    assert project.password not in after["project"]["compose.override.yml"]
    services = json.loads(after["project"]["compose.override.yml"].partition("\n")[2])["services"]
    assert set(services) == TRACKED
    secret = host.folder / "tracking" / "policy.json"
    assert (secret.stat().st_mode & 0o777, secret.stat().st_uid) == (0o600, 1000)

    assert host.changed(check=True) == 0
    assert host.changed() == 0
    assert host.files() == after

    database = project.database()
    task = project.send("crawl", 0).strip().splitlines()[-1]
    recorded = f"SELECT status, task_name, worker_name FROM task_logs WHERE task_id = '{task}'"
    wait_until(lambda: [row[0] for row in database.execute(recorded)] == ["SUCCESS"], 30)
    ((_status, name, worker),) = database.execute(recorded)
    assert name == "apps.scheduler.tasks.crawl"
    assert worker.startswith("celery@")
    # The sender's record and the worker's are of one task.
    sent = (
        "SELECT m.queue_name FROM task_metadata m JOIN task_logs t ON t.id = m.task_id "
        f"WHERE t.task_id = '{task}' AND m.origin IS NOT NULL"
    )
    wait_until(lambda: [row[0] for row in database.execute(sent)] == ["celery"], 30)
    (online,) = database.execute("SELECT count(*) FROM worker_status WHERE status = 'ONLINE'")
    assert online == (1,)

    assert host.changed(check=True, task_tracking_state="absent") > 0
    assert host.files() == after
    assert host.changed(task_tracking_state="absent") > 0
    assert host.files() == before
    assert "CELERY_TRACKING" not in json.dumps(project.inspect("celery_worker")["Config"]["Env"])
    assert host.changed(task_tracking_state="absent") == 0


def test_a_scaled_worker_stays_so(host: RoleHost) -> None:
    """As `docker compose up --scale` has left it: no file says so."""
    project = host.project
    with project.scaled("celery_worker", 2):
        assert host.changed() > 0
        assert len(project.containers("celery_worker")) == 2
        (online,) = project.database().execute("SELECT count(*) FROM worker_status WHERE status = 'ONLINE'")
        assert online == (2,)
        assert host.changed() == 0
        assert host.changed(task_tracking_state="absent") > 0
        assert len(project.containers("celery_worker")) == 2


def test_a_change_that_does_not_start_is_taken_back(host: RoleHost) -> None:
    project = host.project
    path = project.folder / "compose.yml"
    plain = path.read_text(encoding="utf-8")
    document = yaml.safe_load(plain)
    worker = document["services"]["celery_worker"]
    worker["command"] = f"sh -c 'test \"$$CELERY_TRACKING\" != critical && exec {worker['command']}'"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    try:
        assert host.changed() > 0
        host.refused("exited", task_tracking_mode="critical")
        assert "CELERY_TRACKING=all" in project.inspect("celery_worker")["Config"]["Env"]
        # Once all of them are well again.
        wait_until(lambda: host.changed(check=True) == 0, 60)
        assert host.changed(task_tracking_state="absent") > 0
    finally:
        path.write_text(plain, encoding="utf-8")
        project.compose("up", "--detach", "--no-deps", "--wait", "celery_worker")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"celery_worker_service": "celery_wroker"}, "No container of service celery_wroker runs"),
        ({"celery_worker_service": "redis"}, "of service redis"),
        ({"task_tracking_services": ["fronted"]}, "No container of service fronted runs"),
        ({"task_tracking_tasks": ["a,b"]}, "is no task's name"),
        ({"task_tracking_queue_interval": -1}, "must not be negative"),
        ({"celery_compose_project_dir": "/nowhere"}, "There is no Compose file in /nowhere"),
        ({"task_tracking_database_url": "oracle://u:very-secret@db/x"}, "database_url must begin with"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_installed(host: RoleHost, variables: dict[str, Any], words: str) -> None:
    host.refused(words, **variables)


def test_a_foreign_override_file_is_left_alone(host: RoleHost) -> None:
    with host.foreign_override_file():
        host.refused("was written by somebody else")
        before = host.files()
        assert host.changed(task_tracking_state="absent") == 0
        assert host.files() == before
