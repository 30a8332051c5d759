# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment in its old state, in which beat installs celery.backend_cleanup, is migrated and stays so."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.docker import NIGHT, ComposeProject, DockerRecorder, Images, up
from support.running import PlaybookRun, run_module, run_playbook

BUILTIN = "celery.backend_cleanup"
OWN = "cleanup-celery-results"


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Tests", "-c", "user.email=tests@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True)


def _publish_new_settings(project: ComposeProject, scratch: Path) -> None:
    """Make the project's folder a checkout whose origin has moved on: there result_expires is no longer set."""
    origin, elsewhere = scratch / "origin.git", scratch / "elsewhere"
    _git(scratch, "init", "--bare", str(origin))
    _git(project.folder, "init")
    _git(project.folder, "add", "backend", "compose.yml")
    _git(project.folder, "commit", "--message", "Deploy")
    _git(project.folder, "remote", "add", "origin", str(origin))
    _git(project.folder, "push", "origin", "main")
    _git(scratch, "clone", str(origin), str(elsewhere))
    settings = elsewhere / "backend" / "shop" / "settings.py"
    settings.write_text(settings.read_text() + "\nCELERY_RESULT_EXPIRES = None\n", encoding="utf-8")
    _git(elsewhere, "commit", "--all", "--message", "Leave results to our own cleanup task")
    _git(elsewhere, "push", "origin", "main")


@pytest.fixture(scope="module")
def old(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeProject]:
    with up(f"old-{os.getpid()}", images, services=["db"], result_expires=86400, one_file=True) as project:
        _add_services(project)
        project.start()
        _publish_new_settings(project, tmp_path_factory.mktemp("git"))
        yield project


def _add_services(project: ComposeProject) -> None:
    """Add what Compose builds alike under a name of its own, what has nothing to do with it, and a sidecar of ours."""
    path = project.folder / "compose.yml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    services = document["services"]
    idle = {"command": "sleep infinity", "init": True}
    services["flower"] = {"build": services["backend"]["build"], **idle}
    (project.folder / "frontend").mkdir()
    dockerfile = "ARG APPLICATION_IMAGE\nFROM ${APPLICATION_IMAGE}\n"
    (project.folder / "frontend" / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    services["frontend"] = {"build": {**services["backend"]["build"], "context": "frontend"}, **idle}
    services["celery_maintenance"] = {"image": services["celery_worker"]["image"], "pull_policy": "never", **idle}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


@pytest.fixture
def inventory(old: ComposeProject, tmp_path: Path) -> Path:
    host = {
        "ansible_connection": "local",
        "celery_compose_project_dir": str(old.folder),
        "migrate_own_task": {"name": OWN, "crontab": f"0 {NIGHT} * * *"},
        "migrate_expected_tasks": 11,
    }
    path = tmp_path / "hosts.yml"
    path.write_text(json.dumps({"all": {"hosts": {"old": host}}}), encoding="utf-8")
    return path


def _migrate(inventory: Path, *, check: bool = False, env: dict[str, str] | None = None) -> PlaybookRun:
    done = run_playbook("fleetops.celery.migrate", inventory, check=check, diff=True, env=env)
    assert done.exit_code == 0, done.output
    return done


def _containers(project: ComposeProject) -> dict[str, list[str]]:
    return {service: project.containers(service) for service in project.compose("ps", "--services").split()}


def _verbs(calls: list[str]) -> list[str]:
    """What Docker was asked, without the names of projects, containers and services."""
    return [" ".join(call.split()[: 2 if call.startswith("compose ") else 1]) for call in calls]


def test_a_deleted_row_comes_back_and_a_migrated_one_stays_disabled(
    old: ComposeProject, inventory: Path, tmp_path: Path
) -> None:
    database = old.database()
    assert old.schedule()[BUILTIN] is True
    database.execute(f"DELETE FROM django_celery_beat_periodictask WHERE name = '{BUILTIN}'")
    old.restart_beat()
    assert old.schedule()[BUILTIN] is True

    rehearsed = _migrate(inventory, check=True)
    assert rehearsed.recap["old"]["changed"] > 0
    assert old.schedule()[BUILTIN] is True

    (tmp_path / "bin").mkdir()
    recorder = DockerRecorder(tmp_path / "bin")
    old.compose("up", "--detach", "--no-deps", "--wait", "--scale=celery_worker=2", "celery_worker")
    containers = _containers(old)
    done = _migrate(inventory, env=recorder.environment)
    # Three to find the deployment and ask it how it is configured, and one for each step.
    found = ["ps", "inspect", "exec"]
    calls = recorder.calls()
    # That Compose is asked how services are built is part of rebuilding them.
    rebuilt = ["compose config", "compose build", "compose up"]
    # To restart beat is to wait until it is well; to verify is to look what runs, and to read the schedule.
    restarted, verified = ["compose restart", "compose up"], ["inspect", "exec", "inspect"]
    assert _verbs(calls) == [*found, *rebuilt, "inspect", *restarted, *verified]
    # Of the application are those that have the worker's image, or are built like it.
    (built,) = [set(call.split()[2:]) for call in calls if call.startswith("compose build")]
    assert built == {"backend", "celery_beat", "celery_worker", "flower"}
    anew = {service for service, container in _containers(old).items() if containers[service] != container}
    assert anew == built | {"celery_maintenance"}
    # What somebody has scaled stays so.
    assert len(old.containers("celery_worker")) == 2
    assert done.recap["old"]["changed"] > 0
    assert old.password not in done.output
    schedule = old.schedule()
    assert schedule[BUILTIN] is False
    assert schedule[OWN] is True
    assert len(schedule) == 11
    for service in ("backend", "flower"):
        assert "CELERY_RESULT_EXPIRES = None" in old.compose("exec", "-T", service, "cat", "shop/settings.py")

    again = _migrate(inventory, env=recorder.environment)
    assert _verbs(recorder.calls()) == [*found, "inspect", "inspect"]
    assert again.recap["old"]["changed"] == 0, again.output

    old.restart_beat()
    assert _migrate(inventory).recap["old"]["changed"] == 0
    assert old.schedule()[BUILTIN] is False


def test_commands_take_the_place_of_steps_and_steps_are_left_out(old: ComposeProject, tmp_path: Path) -> None:
    """Runs after the migration."""
    said = tmp_path / "said"
    where = {"compose": {"project_dir": str(old.folder)}}

    def migrate(exit_code: int = 0, **variables: Any) -> tuple[bool, list[str]]:
        """Whether something has changed, and which commands were run."""
        said.write_text("", encoding="utf-8")
        host = {
            "ansible_connection": "local",
            "celery_compose_project_dir": str(old.folder),
            "migrate_pull_command": ["git", "pull", "--ff-only", "origin", "main"],
            "migrate_rebuild_command": ["sh", "-c", f"echo rebuild >>{said}"],
            "migrate_restart_beat_command": ["sh", "-c", f"echo restart >>{said}"],
            **variables,
        }
        hosts = tmp_path / "hosts.json"
        hosts.write_text(json.dumps({"all": {"hosts": {"old": host}}}), encoding="utf-8")
        done = run_playbook("fleetops.celery.migrate", hosts)
        assert done.exit_code == exit_code, done.output
        return done.recap["old"]["changed"] > 0, said.read_text(encoding="utf-8").split()

    nothing: tuple[bool, list[str]] = (False, [])
    assert migrate() == nothing

    # Another commit, and the built-in task is back.
    origin = subprocess.run(
        ["git", "-C", str(old.folder), "remote", "get-url", "origin"], check=True, capture_output=True, text=True
    ).stdout.strip()
    _git(tmp_path, "clone", origin, "elsewhere")
    _git(tmp_path / "elsewhere", "commit", "--allow-empty", "--message", "Nothing")
    _git(tmp_path / "elsewhere", "push", "origin", "main")
    run_module("backend_cleanup", {**where, "state": "present"})
    assert migrate() == (True, ["rebuild", "restart"])
    assert old.schedule()[BUILTIN] is False
    assert migrate() == nothing

    # Other images.
    fresh = tmp_path / "fresh"
    fresh.touch()
    renew = f"printf 'FROM {old.name}-backend\\nLABEL fresh=yes\\n' | docker build --quiet --tag={old.name}-backend -"
    images = ["sh", "-c", f"test ! -f {fresh} || {{ rm {fresh}; {renew}; }}"]
    assert migrate(migrate_pull_command=images) == (True, ["rebuild"])
    assert migrate(migrate_pull_command=images) == nothing

    # The command says so itself. A rebuild that fails is made up for, though nothing is newer by then.
    words: dict[str, Any] = {"migrate_pull_changed": "^newer"}
    assert migrate(migrate_pull_command=["echo", "nothing newer"], **words) == nothing
    migrate(2, migrate_pull_command=["echo", "newer"], migrate_rebuild_command=["false"], **words)
    assert migrate(migrate_pull_command=["echo", "nothing"], **words) == (True, ["rebuild"])
    assert migrate(migrate_pull_command=["echo", "nothing"], **words) == nothing

    # Without a step what it would have done is not done.
    without = {"migrate_pull": False, "migrate_rebuild": False}
    run_module("backend_cleanup", {**where, "state": "present"})
    assert migrate(migrate_retire=False, migrate_verify=False, **without) == nothing
    migrate(2, migrate_retire=False, **without)
    assert old.schedule()[BUILTIN] is True
    assert migrate(migrate_restart_beat=False, **without) == (True, [])
    assert migrate(**without) == nothing


def test_a_healthy_deployment_has_no_finding_and_a_stopped_beat_is_one(old: ComposeProject, inventory: Path) -> None:
    """Runs after the migration: until then the built-in task is a finding of its own."""
    healthy = run_playbook("fleetops.celery.doctor", inventory)
    (found,) = healthy.results("deployment_info", "old")
    assert found["findings"] == [], found["findings"]
    roles = {one["service"]: one["roles"] for one in found["services"]}
    assert roles["db"] == ["database"]
    assert roles["celery_beat"] == ["beat"]
    assert roles["celery_worker"] == ["worker"]
    assert roles["backend"] == ["application"]
    assert roles["frontend"] == roles["redis"] == roles["celery_maintenance"] == []
    assert found["beat"]["result_expires"] is None

    old.compose("stop", "--timeout=1", "celery_beat")
    broken = run_playbook("fleetops.celery.doctor", inventory)
    assert broken.exit_code == 0
    (found,) = broken.results("deployment_info", "old")
    assert [one["code"] for one in found["findings"]] == ["beat_not_running"]
    assert "docker compose up -d celery_beat" in broken.output


def test_a_beat_that_does_not_run_stops_the_fleet_at_the_first_deployment(old: ComposeProject, tmp_path: Path) -> None:
    """Beat was stopped by the test before, and what is in the database is as it should be."""
    host = {"ansible_connection": "local", "celery_compose_project_dir": str(old.folder)}
    hosts = tmp_path / "hosts.json"
    hosts.write_text(json.dumps({"all": {"hosts": {"first": host, "second": host}}}))
    done = run_playbook("fleetops.celery.migrate", hosts)
    assert done.exit_code == 2
    assert "No Celery beat runs in the project" in done.output
    assert "docker compose up -d celery_beat" in done.output
    assert done.recap["first"]["changed"] == 0
    assert "second" not in done.recap


def test_a_restarted_beat_that_does_not_become_well_stops_the_deployment(old: ComposeProject, tmp_path: Path) -> None:
    """It goes on running, so nothing but its health check tells."""
    path = old.folder / "compose.yml"
    plain = path.read_text(encoding="utf-8")
    document = yaml.safe_load(plain)
    document["services"]["celery_beat"]["healthcheck"] = {
        "test": ["CMD", "test", "!", "-f", "/run/asked"], "interval": "1s", "retries": 1,
    }  # fmt: skip
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    try:
        old.compose("up", "--detach", "--wait", "celery_beat")
        old.compose("exec", "-T", "celery_beat", "touch", "/run/asked")
        run_module("backend_cleanup", {"compose": {"project_dir": str(old.folder)}, "state": "present"})
        hosts = tmp_path / "hosts.json"
        # Git would refuse to pull into a folder where a file was changed.
        host = {
            "ansible_connection": "local",
            "celery_compose_project_dir": str(old.folder),
            "migrate_pull": False,
        }
        hosts.write_text(json.dumps({"all": {"hosts": {"old": host}}}))
        done = run_playbook("fleetops.celery.migrate", hosts)
        assert done.exit_code == 2
        assert f"container {old.name}-celery_beat-1 is unhealthy" in done.output
        # A second run is no better: nothing is restarted, and the first look sees it.
        again = run_playbook("fleetops.celery.migrate", hosts)
        assert again.exit_code == 2
        assert f"Container {old.name}-celery_beat-1 is unhealthy." in again.output
    finally:
        path.write_text(plain, encoding="utf-8")


def test_a_running_beat_takes_notice_and_the_application_tells_what_comes_back(old: ComposeProject) -> None:
    """Beat was out of order in the tests before."""
    old.compose("up", "--detach", "--wait", "celery_beat")
    where = {"compose": {"project_dir": str(old.folder)}}
    restored = run_module("backend_cleanup", {**where, "state": "present", "wait": True})
    assert restored["changed"] is True, restored
    assert restored["beat_noticed"] is True
    removed = run_module("backend_cleanup", {**where, "state": "absent", "wait": True})
    assert removed["beat_noticed"] is True
    # The application says that it no longer sets result_expires.
    assert removed["recreation"]["verdict"] == "stays_absent"
    assert run_module("backend_cleanup", {**where, "state": "absent"})["changed"] is False


def test_a_built_in_task_that_would_delete_nothing_does_not_take_the_place_of_the_own_one(
    old: ComposeProject, inventory: Path
) -> None:
    """The application no longer sets result_expires."""
    hosts = json.loads(inventory.read_text(encoding="utf-8"))
    schedule = old.schedule()
    told = "WARNING: celery.backend_cleanup deletes nothing in this application"
    for strategy, code in (("builtin", 2), ("both", 0)):
        hosts["all"]["hosts"]["old"].update({"migrate_strategy": strategy, "migrate_pull": False})
        inventory.write_text(json.dumps(hosts), encoding="utf-8")
        done = run_playbook("fleetops.celery.migrate", inventory)
        assert (done.exit_code, told in done.output) == (code, True), done.output
        assert (old.schedule() == schedule) is (strategy == "builtin")


def test_a_row_that_nobody_makes_again_can_be_removed(old: ComposeProject, inventory: Path) -> None:
    """Runs last; the application no longer sets result_expires."""
    run_module("backend_cleanup", {"compose": {"project_dir": str(old.folder)}, "state": "present"})
    hosts = json.loads(inventory.read_text(encoding="utf-8"))
    hosts["all"]["vars"] = {"migrate_builtin_state": "absent", "migrate_expected_tasks": 10}
    del hosts["all"]["hosts"]["old"]["migrate_expected_tasks"]
    inventory.write_text(json.dumps(hosts), encoding="utf-8")
    assert _migrate(inventory).recap["old"]["changed"] > 0
    assert BUILTIN not in old.schedule()
    assert _migrate(inventory).recap["old"]["changed"] == 0
