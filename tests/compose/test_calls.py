# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often Docker is asked to find a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import provide
from support.docker import ComposeProject, DockerRecorder
from support.hosts import of_the_distribution, without_libraries
from support.running import run_module, run_through_ansible

LOOKED_FOR = ["ps", "inspect"]


@pytest.fixture
def recorder(tmp_path: Path) -> DockerRecorder:
    (tmp_path / "bin").mkdir()
    return DockerRecorder(tmp_path / "bin")


def _verbs(recorder: DockerRecorder) -> list[str]:
    return [call.split()[0] for call in recorder.calls()]


def _compose(project: ComposeProject, recorder: DockerRecorder, **options: Any) -> dict[str, Any]:
    return {"project_dir": str(project.folder), "docker_cli": str(recorder.path), **options}


def test_containers_that_are_known_are_not_looked_for(shop: ComposeProject, recorder: DockerRecorder) -> None:
    found = run_module("deployment_info", {"compose": _compose(shop, recorder)})
    assert _verbs(recorder) == [*LOOKED_FOR, "exec"]
    names = [service["container"] for service in found["services"]]
    counted = run_module("results_info", {"compose": _compose(shop, recorder, containers=names)})
    assert counted["stats"]["total"] == 0, counted
    assert _verbs(recorder) == ["inspect"]


@pytest.mark.parametrize("known", ["gone", "of another project", "stopped"])
def test_containers_that_are_known_no_longer_are_looked_for(
    shop: ComposeProject, library: ComposeProject, recorder: DockerRecorder, known: str
) -> None:
    names = {"gone": "no-such-container", "of another project": f"{library.name}-db-1", "stopped": f"{shop.name}-old"}
    if known == "stopped":
        shop.compose("run", "--no-deps", f"--name={names[known]}", "backend", "true")
    try:
        counted = run_module("results_info", {"compose": _compose(shop, recorder, containers=[names[known]])})
    finally:
        if known == "stopped":
            shop.compose("rm", "--force", "backend")
    assert counted["stats"]["total"] == 0, counted
    assert _verbs(recorder) == ["inspect", *LOOKED_FOR]


def test_a_module_that_starts_again_with_the_libraries_does_so_first(
    shop: ComposeProject, recorder: DockerRecorder, tmp_path: Path
) -> None:
    provide(of_the_distribution)
    env = {"ANSIBLE_PYTHON_INTERPRETER": str(without_libraries(tmp_path / "bare")), "HOME": str(tmp_path)}
    counted, play = run_through_ansible("results_info", {"compose": _compose(shop, recorder)}, env=env)
    assert counted["stats"]["total"] == 0, play.output
    assert _verbs(recorder) == LOOKED_FOR


def test_proof_by_containers_asks_for_the_project_once(shop: ComposeProject, recorder: DockerRecorder) -> None:
    ended = run_module("zombie_fail", {"compose": _compose(shop, recorder), "proof": "containers"})
    assert ended["matched"] == 0, ended
    assert _verbs(recorder) == LOOKED_FOR
