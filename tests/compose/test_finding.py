# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment's database is found by its project alone, whatever way it is set up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.docker import ComposeProject, docker
from support.running import ModuleRun, run_module
from support.tables import fill
from support.tables.rows import TASK_RESULT, task_results


def _look(compose: dict[str, Any]) -> ModuleRun:
    found = run_module("deployment_info", {"compose": compose})
    assert not found.get("failed"), found
    return found


def _database_name(found: ModuleRun) -> str:
    assert "database_unreachable" not in [finding["code"] for finding in found["findings"]], found["findings"]
    assert [one["profile"] for one in found["profiles"]] == ["django_celery_results"]
    name: str = found["database"]["name"]
    return name


def _published_port(project: ComposeProject) -> str:
    port: str = project.inspect("db")["NetworkSettings"]["Ports"]["5432/tcp"][0]["HostPort"]
    return port


@pytest.mark.parametrize("by", ["project_dir", "project_name", "both"])
def test_a_published_port_comes_first(shop: ComposeProject, library: ComposeProject, by: str) -> None:
    ways = {"project_dir": str(shop.folder), "project_name": shop.name}
    found = _look(ways if by == "both" else {by: ways[by]})
    assert _database_name(found) == f"PostgreSQL database shop at 127.0.0.1:{_published_port(shop)}"
    assert found["database"]["version"].startswith("15")
    # Two workers, and another project beside it.
    assert len(shop.containers("celery_worker")) == 2
    assert library.name != shop.name


def test_what_compose_runs_once_is_not_the_database(shop: ComposeProject) -> None:
    """Such as `docker compose run db pg_dump`: the newest container of the service, with its image and variables."""
    shop.compose("run", "--detach", "--no-deps", "--entrypoint=sleep", "db", "infinity")
    try:
        found = _look({"project_dir": str(shop.folder)})
        assert _database_name(found) == f"PostgreSQL database shop at 127.0.0.1:{_published_port(shop)}"
        of_service = [one for one in found["services"] if one["service"] == "db"]
        assert sorted(one["roles"] for one in of_service) == [[], ["database"]]
    finally:
        once = docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={shop.name}",
                      "--filter", "label=com.docker.compose.oneoff=True")  # fmt: skip
        docker("rm", "--force", "--volumes", *once.split())


@pytest.mark.parametrize("by", ["project_dir", "project_name"])
def test_a_renamed_project_at_its_containers_address(library: ComposeProject, by: str) -> None:
    found = _look({by: {"project_dir": str(library.folder), "project_name": library.name}[by]})
    networks = library.inspect("db")["NetworkSettings"]["Networks"]
    (address,) = [network["IPAddress"] for network in networks.values()]
    assert _database_name(found) == f"MariaDB/MySQL database shop at {address}:3306"
    assert found["database"]["version"].startswith("10.11")


def test_a_folder_that_is_a_symbolic_link(reader: ComposeProject) -> None:
    label = reader.inspect("db")["Config"]["Labels"]["com.docker.compose.project.working_dir"]
    assert reader.folder.is_symlink()
    names = {
        _database_name(_look({"project_dir": folder}))
        for folder in (str(reader.folder), str(reader.folder.resolve()), f"{reader.folder}/backend/..", label)
    }
    assert len(names) == 1


def test_a_folder_beside_the_projects(library: ComposeProject, tmp_path: Path) -> None:
    # A link of somebody's own leads to the same project.
    link = tmp_path / "link"
    link.symlink_to(library.folder)
    assert _database_name(_look({"project_dir": str(link)})).startswith("MariaDB")


def test_the_applications_credentials(reader: ComposeProject) -> None:
    assert _database_name(_look({"project_name": reader.name}))
    assert _database_name(_look({"project_name": reader.name, "app_service": "backend"}))


def test_named_services(shop: ComposeProject) -> None:
    compose = {"project_name": shop.name, "database_service": "db", "app_service": "celery_worker"}
    assert _database_name(_look(compose))


@pytest.mark.parametrize("name", ["shop", "library", "reader"])
def test_statistics_and_what_a_purge_would_do(request: pytest.FixtureRequest, name: str) -> None:
    project: ComposeProject = request.getfixturevalue(name)
    database = project.database()
    fill(database, TASK_RESULT, [task_results(30, days=20), task_results(12, days=1)])
    try:
        compose = {"project_dir": str(project.folder)}
        counted = run_module("results_info", {"compose": compose})
        assert counted["stats"]["total"] == 42
        foreseen = run_module("results_purge", {"compose": compose}, check=True)
        assert (foreseen["matched"], foreseen["deleted"]) == (30, 0)
        assert database.count(TASK_RESULT) == 42
        assert project.password not in counted.output + foreseen.output
    finally:
        database.execute(f"DELETE FROM {TASK_RESULT}")
