# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where no database is found, the message says what was looked for, what was found, and what to do."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.docker import ComposeProject, Images, docker
from support.running import run_module


def _message(compose: dict[str, Any], env: dict[str, str] | None = None) -> str:
    run = run_module("results_info", {"compose": compose}, env=env)
    assert run.get("failed") is True, run
    assert run["changed"] is False
    assert "Traceback" not in run.output
    assert "exception" not in run
    message: str = run["msg"]
    assert len(message) < 700
    return message


@contextlib.contextmanager
def _container(project: ComposeProject, service: str, image: str, **environment: str) -> Iterator[str]:
    """One more container of the project, which does nothing."""
    labels = {"com.docker.compose.project": project.name, "com.docker.compose.service": service}
    options = [f"--label={name}={value}" for name, value in labels.items()]
    options += [f"--env={name}={value}" for name, value in environment.items()]
    identifier = docker("run", "--detach", *options, "--entrypoint=sleep", image, "infinity").strip()
    try:
        yield identifier
    finally:
        docker("rm", "--force", "--volumes", identifier)


def test_no_docker_command(tmp_path: Path) -> None:
    assert _message({"project_name": "shop"}, env={"PATH": str(tmp_path)}) == (
        "There is no docker command in the search path of the host where this ran. "
        "Install Docker's command there, or name it in docker_cli."
    )
    missing = tmp_path / "docker"
    message = _message({"project_name": "shop", "docker_cli": str(missing)})
    assert message == f"The command {missing} cannot be run. Check docker_cli."


def test_no_engine(shop: ComposeProject, tmp_path: Path) -> None:
    message = _message({"project_name": shop.name}, env={"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"})
    assert "reached no Docker engine" in message
    assert f"{tmp_path}/docker.sock" in message
    assert message.endswith("Start the engine on that host.")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_rights_to_the_engine(shop: ComposeProject, tmp_path: Path) -> None:
    command = tmp_path / "docker"
    program = f"{shutil.which('setpriv')} --reuid nobody --regid nogroup --clear-groups {shutil.which('docker')}"
    command.write_text(f'#!/bin/sh\nHOME=/nonexistent exec {program} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    message = _message({"project_name": shop.name, "docker_cli": str(command)})
    assert f"'{command} ps' was refused" in message
    assert "no rights to the Docker engine's socket: use become, or add the user to the group docker" in message


def test_a_project_that_does_not_run(shop: ComposeProject, library: ComposeProject, tmp_path: Path) -> None:
    message = _message({"project_name": "bookshop"})
    assert message.startswith("No container of project bookshop runs on this host. Compose projects that run: ")
    for project in (shop, library):
        assert f"{project.name} (in {project.folder})" in message
    assert f"No container of a project in {tmp_path} runs" in _message({"project_dir": str(tmp_path)})
    # The folder is right, the name is not: the project was renamed.
    message = _message({"project_dir": str(library.folder), "project_name": "library"})
    assert f"No container of project library in {library.folder} runs" in message


def test_two_projects_in_one_folder(library: ComposeProject, images: Images) -> None:
    label = f"com.docker.compose.project.working_dir={library.folder}"
    other = f"other-{library.name}"
    options = (f"--label={label}", f"--label=com.docker.compose.project={other}", "--entrypoint=sleep")
    identifier = docker("run", "--detach", *options, images.redis, "infinity").strip()
    try:
        message = _message({"project_dir": str(library.folder)})
    finally:
        docker("rm", "--force", "--volumes", identifier)
    assert message == (
        f"Several Compose projects run from {library.folder}: {library.name}, {other}. Name one in project_name."
    )


def test_two_databases(shop: ComposeProject) -> None:
    shop.compose("--profile", "reporting", "up", "--detach", "--no-recreate", "reporting")
    try:
        message = _message({"project_dir": str(shop.folder)})
        assert message == "Several services could be the database: db, reporting. Name one in database_service."
        named = {"project_dir": str(shop.folder), "database_service": "db"}
        assert not run_module("results_info", {"compose": named}).get("failed")
    finally:
        shop.compose("--profile", "reporting", "rm", "--stop", "--force", "--volumes", "reporting")


def test_an_exporter_is_no_second_database(shop: ComposeProject, images: Images) -> None:
    exporter = "fleetops-celery-tests/postgres-exporter:1"
    docker("tag", images.redis, exporter)
    try:
        with _container(shop, "exporter", exporter):
            assert not run_module("results_info", {"compose": {"project_name": shop.name}}).get("failed")
    finally:
        docker("image", "rm", exporter)


def test_wrong_names_of_services(shop: ComposeProject, reader: ComposeProject) -> None:
    running = "Services that run: backend, celery_beat, celery_worker, db, redis."
    assert _message({"project_name": shop.name, "database_service": "database"}) == (
        f"No container of service database runs in the project. {running}"
    )
    assert "Service redis (image " in (message := _message({"project_name": shop.name, "database_service": "redis"}))
    assert "is neither PostgreSQL nor MariaDB or MySQL" in message
    assert _message({"project_name": reader.name, "app_service": "web"}) == (
        "No container of service web runs in the project. Services that run: backend, db."
    )


def test_no_credentials(reader: ComposeProject) -> None:
    message = _message({"project_name": reader.name, "app_service": "db"})
    assert f"No credentials were found for service db (container {reader.name}-db-1)" in message
    assert "POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, each also as a file with _FILE" in message
    assert "CELERY_DATABASE_URL or DATABASE_URL" in message
    assert message.endswith("Name the application in app_service, or give database_url.")


def test_a_secret_file_that_is_not_there(reader: ComposeProject, images: Images) -> None:
    with _container(reader, "old", images.postgresql, POSTGRES_PASSWORD_FILE="/run/secrets/none"):
        message = _message({"project_name": reader.name, "database_service": "old"})
    assert "POSTGRES_PASSWORD_FILE of service old cannot be read" in message
    assert "/run/secrets/none: No such file or directory" in message
    assert "socket" not in message


def test_an_applications_url_that_is_none(reader: ComposeProject, images: Images) -> None:
    """SQLAlchemy takes a bracket in a password, which Python's own parser of URLs does not."""
    url = "postgresql://shop:very[secret@db:5432/shop?sslmode=disable"
    with _container(reader, "api", images.redis, DATABASE_URL=url):
        for compose in ({"project_name": reader.name}, {"project_name": reader.name, "app_service": "api"}):
            run = run_module("results_info", {"compose": compose})
            assert not run.get("failed"), run
            assert "very[secret" not in run.output
    with _container(reader, "api", images.redis, DATABASE_URL="postgresql://shop:very-secret@[db/shop"):
        message = _message({"project_name": reader.name, "app_service": "api"})
    assert message.startswith("DATABASE_URL of service api does not parse")
    assert "very-secret" not in message


def test_no_database_at_all(reader: ComposeProject, images: Images) -> None:
    options = ("--label=com.docker.compose.project=cache", "--label=com.docker.compose.service=redis")
    identifier = docker("run", "--detach", *options, images.redis).strip()
    try:
        message = _message({"project_name": "cache"})
    finally:
        docker("rm", "--force", "--volumes", identifier)
    assert message.startswith("No service of the project is a PostgreSQL, MariaDB or MySQL server")
    assert "Services that run: redis. Name it in database_service, or give database_url." in message


def test_a_broken_project_is_a_finding(shop: ComposeProject) -> None:
    found = run_module("deployment_info", {"compose": {"project_name": "bookshop"}})
    assert not found.get("failed")
    assert any("No container of project bookshop" in finding["message"] for finding in found["findings"])
