# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The override file, as the real Compose reads it; nothing has to run for that but the engine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker_engine
import pytest
import yaml
from support.docker import Images, docker
from support.running import ModuleRun, run_module

PROJECT = {
    "services": {
        "backend": {"image": "shop-backend", "environment": {"A": "1"}},
        "celery_worker": {"image": "shop-backend", "command": "celery -A shop worker"},
    }
}
SIDECAR = {"celery_maintenance": {"image": "shop-backend", "command": ["celery", "-A", "celery_maintenance.app"]}}
RECORDER = {"celery_worker": {"environment": {"RECORD": "yes"}, "volumes": ["/opt/package:/opt/package:ro"]}}


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    try:
        docker_engine.start()
    except docker_engine.NoDocker as missing:
        if os.environ.get("CI"):
            pytest.fail(f"missing in CI: {missing}", pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yml").write_text(yaml.safe_dump(PROJECT), encoding="utf-8")
    (folder / "compose.yml").chmod(0o640)
    return folder


def _override(folder: Path, name: str, services: dict[str, Any] | None = None, **options: Any) -> ModuleRun:
    state = {"services": services} if services is not None else {"state": "absent"}
    return run_module("compose_override", {"project_dir": str(folder), "name": name, **state}, **options)


def _read_by_compose(folder: Path) -> dict[str, Any]:
    services: dict[str, Any] = json.loads(docker("compose", "config", "--format=json", cwd=folder))["services"]
    return services


def test_compose_reads_what_was_added_and_the_part_is_taken_back(project: Path) -> None:
    path = project / "compose.override.yml"
    before = _read_by_compose(project)

    planned = _override(project, "maintenance", SIDECAR, check=True, diff=True)
    assert planned["changed"] is True
    assert "celery_maintenance" in planned["diff"]["after"]
    assert planned["diff"]["before"] == ""
    assert not path.exists()

    done = _override(project, "maintenance", SIDECAR)
    assert (done["changed"], done["parts"], done["services"]) == (True, ["maintenance"], ["celery_maintenance"])
    assert done["path"] == str(path)
    assert "diff" not in done
    services = _read_by_compose(project)
    assert services["celery_maintenance"]["command"] == ["celery", "-A", "celery_maintenance.app"]
    assert services["backend"] == before["backend"]
    assert path.stat().st_mode & 0o777 == 0o640

    for check in (True, False):
        assert _override(project, "maintenance", SIDECAR, check=check)["changed"] is False
    changed = _override(project, "maintenance", {"celery_maintenance": {"image": "other"}})
    assert changed["changed"] is True
    assert _read_by_compose(project)["celery_maintenance"]["image"] == "other"

    assert _override(project, "maintenance", check=True)["changed"] is True
    assert path.exists()
    taken = _override(project, "maintenance")
    assert (taken["changed"], taken["parts"], taken["services"]) == (True, [], ["celery_maintenance"])
    assert not path.exists()
    assert _read_by_compose(project) == before
    assert _override(project, "maintenance")["changed"] is False


def test_two_parts_share_the_file_and_go_one_by_one(project: Path) -> None:
    mount = {"celery_worker": {"environment": {"RECORD": "yes"}, "volumes": ["/srv/other:/srv/other:ro"]}}
    _override(project, "tracking", RECORDER)
    both = _override(project, "maintenance", {**SIDECAR, **mount})
    assert both["parts"] == ["maintenance", "tracking"]
    worker = _read_by_compose(project)["celery_worker"]
    assert [one["target"] for one in worker["volumes"]] == ["/srv/other", "/opt/package"]
    assert worker["environment"] == {"RECORD": "yes"}
    assert _override(project, "tracking", RECORDER)["changed"] is False

    assert _override(project, "tracking")["parts"] == ["maintenance"]
    worker = _read_by_compose(project)["celery_worker"]
    assert [one["target"] for one in worker["volumes"]] == ["/srv/other"]


def test_parts_that_contradict_each_other_are_refused(project: Path) -> None:
    _override(project, "tracking", {"celery_worker": {"command": ["celery", "worker"]}})
    failed = _override(project, "maintenance", {"celery_worker": {"command": ["celery", "-I", "x", "worker"]}})
    assert "celery_worker: command: another part of this collection has already set it" in failed["msg"]
    assert _override(project, "tracking", {"celery_worker": {"command": ["celery", "worker"]}})["changed"] is False


def _foreign(folder: Path) -> None:
    (folder / "compose.override.yml").write_text("services: {}\n")


def _of_another_name(folder: Path) -> None:
    (folder / "docker-compose.override.yml").write_text("services: {}\n")


def _spoiled(folder: Path) -> None:
    _override(folder, "tracking", RECORDER)
    path = folder / "compose.override.yml"
    path.write_text(path.read_text().replace("x-fleetops-celery", "x-other"))


def _chosen_files(folder: Path) -> None:
    (folder / ".env").write_text("COMPOSE_FILE='compose.yml:compose.prod.yml'\n")


def _broken(folder: Path) -> None:
    (folder / "compose.yml").write_text("services: [\n")


def _gone(folder: Path) -> None:
    (folder / "compose.yml").unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_foreign, "compose.override.yml was written by somebody else. Move what it says into compose.yml"),
        (_of_another_name, "docker-compose.override.yml is there already"),
        (_spoiled, "was written by somebody else"),
        (_chosen_files, "chosen for it (COMPOSE_FILE: compose.yml:compose.prod.yml)"),
        (_broken, "Compose does not accept the project's own files"),
        (_gone, "There is no Compose file in"),
    ],
)
def test_a_folder_where_it_cannot_be_done_is_left_alone(
    project: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(project)
    before = {path.name: path.read_text() for path in project.iterdir()}
    for check in (True, False):
        failed = _override(project, "maintenance", SIDECAR, check=check)
        assert failed.get("failed"), failed
        assert words in failed["msg"]
        assert "Traceback" not in failed.output
    assert {path.name: path.read_text() for path in project.iterdir()} == before


@pytest.mark.parametrize(
    ("services", "words"),
    [
        ({"celery_wroker": {"environment": {"A": "2"}}}, "has no service celery_wroker"),
        ({"celery_worker": ["x"]}, "services: celery_worker must be a dictionary"),
        ({"new": {"image": "x", "depends_on": ["nobody"]}}, "Compose does not accept"),
        ({"new": {"image": "x", "comand": "y"}}, "Compose does not accept"),
    ],
)
def test_services_that_are_wrong_change_nothing(project: Path, services: dict[str, Any], words: str) -> None:
    _override(project, "tracking", RECORDER)
    path = project / "compose.override.yml"
    before = path.read_text()
    failed = _override(project, "maintenance", services)
    assert words in failed["msg"]
    assert path.read_text() == before


@pytest.fixture
def started_with_files(images: Images, project: Path) -> Iterator[Path]:
    """Its containers were made from two files that somebody named."""
    overlay = {"services": {"backend": {"image": images.redis, "command": ["sleep", "inf"], "init": True}}}
    (project / "compose.prod.yml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    compose = ["compose", "-p", f"files-{os.getpid()}", "-f", "compose.yml", "-f", "compose.prod.yml"]
    docker(*compose, "up", "--detach", "backend", cwd=project)
    yield project
    docker(*compose, "down", "--timeout=0", cwd=project)


def test_a_project_that_runs_from_chosen_files_is_left_alone(started_with_files: Path) -> None:
    failed = _override(started_with_files, "maintenance", SIDECAR)
    assert "compose.prod.yml), so Compose would not read compose.override.yml" in failed["msg"]
    assert not (started_with_files / "compose.override.yml").exists()


def test_taking_back_what_never_was_leaves_a_foreign_file_alone(project: Path) -> None:
    _foreign(project)
    gone = _override(project, "maintenance")
    assert (gone["changed"], gone["parts"], gone["services"]) == (False, [], [])
    assert (project / "compose.override.yml").read_text() == "services: {}\n"


def test_a_label_that_changes_makes_compose_create_the_container_anew(project: Path) -> None:
    hashes = []
    for label in ("1", "1", "2"):
        run_module(
            "compose_override",
            {"project_dir": str(project), "name": "tracking", "services": RECORDER, "labels": {"package": label}},
        )
        hashes.append(docker("compose", "config", "--hash=celery_worker", cwd=project))
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_both_parts_put_on_the_python_path_is_joined(project: Path) -> None:
    for name, path in (("maintenance", "/opt/a.pyz:/app"), ("tracking", "/opt/b.pyz:/app")):
        _override(project, name, {"celery_worker": {"environment": {"PYTHONPATH": path}}})
    assert _read_by_compose(project)["celery_worker"]["environment"]["PYTHONPATH"] == "/opt/a.pyz:/app:/opt/b.pyz"


def test_a_file_name_of_the_old_kind_has_an_override_of_the_old_kind(project: Path) -> None:
    (project / "compose.yml").rename(project / "docker-compose.yaml")
    done = _override(project, "maintenance", SIDECAR)
    assert done["path"] == str(project / "docker-compose.override.yaml")
    assert "celery_maintenance" in _read_by_compose(project)


def test_no_docker_command_is_told(project: Path) -> None:
    failed = run_module(
        "compose_override",
        {"project_dir": str(project), "name": "tracking", "services": RECORDER, "docker_cli": "/nowhere/docker"},
    )
    assert "The command /nowhere/docker cannot be run. Check docker_cli." in failed["msg"]
