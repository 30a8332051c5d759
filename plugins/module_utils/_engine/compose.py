# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding the database of a running Compose project.

Containers are found by the labels that Compose gives them, so neither its files nor the variables
they are filled in with are needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from .docker import FOLDER_LABEL, PROJECT_LABEL, Container, Docker
from .errors import CleanupError, UsageError


@dataclass(frozen=True)
class _Server:
    """How the official images of a database are recognised, and where they keep credentials."""

    scheme: str
    port: int
    images: tuple[str, ...]
    marks: tuple[str, ...]  #: variables that the image itself sets
    user: tuple[str, ...]
    password: tuple[str, ...]
    administrator: str
    administrator_password: tuple[str, ...]
    database: tuple[str, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        return (*self.user, *self.password, *self.administrator_password, *self.database)


# https://hub.docker.com/_/postgres, https://hub.docker.com/_/mariadb, https://hub.docker.com/_/mysql
_SERVERS = (
    _Server(
        scheme="postgresql",
        port=5432,
        images=("postgres", "postgis", "timescale", "pgvector"),
        marks=("PG_MAJOR", "PG_VERSION", "PGDATA"),
        user=("POSTGRES_USER",),
        password=("POSTGRES_PASSWORD",),
        administrator="postgres",
        administrator_password=("POSTGRES_PASSWORD",),
        database=("POSTGRES_DB",),
    ),
    _Server(
        scheme="mysql",
        port=3306,
        images=("mariadb", "mysql", "percona"),
        marks=("MARIADB_VERSION", "MYSQL_VERSION", "MYSQL_MAJOR"),
        user=("MARIADB_USER", "MYSQL_USER"),
        password=("MARIADB_PASSWORD", "MYSQL_PASSWORD"),
        administrator="root",
        administrator_password=("MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"),
        database=("MARIADB_DATABASE", "MYSQL_DATABASE"),
    ),
)
#: Where applications keep the URL of their database, the most specific first.
_URL_VARIABLES = ("CELERY_DATABASE_URL", "DATABASE_URL", "SQLALCHEMY_DATABASE_URI")


def find_database_url(compose: Mapping[str, Any]) -> str:
    """Return the URL of the database of the running project that *compose* describes.

    :param compose: ``project_dir`` or ``project_name``; ``database_service``, ``app_service`` and
        ``docker_cli`` where they cannot be told
    :raises CleanupError: saying what was looked for, and what was found
    """
    docker = Docker(compose.get("docker_cli"))
    containers = _containers(docker, compose)
    container, server = _database(containers, compose.get("database_service"))
    host, port = _address(container, server)
    credentials = _credentials(docker, container, server)
    if credentials is not None:
        user, password, name = (quote(part, "") for part in credentials)
        return f"{server.scheme}://{user}:{password}@{host}:{port}/{name}"
    url = _application_url(containers, compose.get("app_service"), container)
    if url is None:
        raise CleanupError(
            f"No credentials were found for service {container.service} "
            f"(container {container.name}): neither in its environment "
            f"({', '.join(dict.fromkeys(server.variables))}, each also as a file with _FILE) nor "
            f"in an application's {' or '.join(_URL_VARIABLES)}. "
            "Name the application in app_service, or give database_url."
        )
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@{host}:{port}"))


def _containers(docker: Docker, compose: Mapping[str, Any]) -> list[Container]:
    name, folder = compose.get("project_name"), compose.get("project_dir")
    labels = {PROJECT_LABEL: name} if name else {}
    looked_for = f"project {name}" if name else f"a project in {folder}"
    if folder:
        labels[FOLDER_LABEL] = os.path.realpath(folder)
    containers = docker.running(labels)
    if containers:
        projects = {one.labels.get(PROJECT_LABEL, "") for one in containers}
        if len(projects) > 1:
            raise UsageError(
                f"Several Compose projects run from {folder}: {', '.join(sorted(projects))}. Name one in project_name."
            )
        return containers
    there = docker.projects()
    raise CleanupError(
        f"No container of {looked_for} runs on this host. Compose projects that run: {', '.join(there) or 'none'}."
    )


def _database(containers: list[Container], service: str | None) -> tuple[Container, _Server]:
    services = sorted({one.service for one in containers})
    if service:
        containers = [one for one in containers if one.service == service]
        if not containers:
            raise UsageError(
                f"No container of service {service} runs in the project. Services that run: {', '.join(services)}."
            )
    found = [(one, server) for one in containers if (server := _recognise(one)) is not None]
    if service and not found:
        raise UsageError(
            f"Service {service} (image {containers[0].image}) is neither PostgreSQL nor MariaDB or "
            "MySQL, by its image and environment. Give database_url."
        )
    if not found:
        raise CleanupError(
            "No service of the project is a PostgreSQL, MariaDB or MySQL server, by image and "
            f"environment. Services that run: {', '.join(services)}. "
            "Name it in database_service, or give database_url."
        )
    candidates = sorted({one.service for one, _server in found})
    if len(candidates) > 1:
        raise UsageError(
            f"Several services could be the database: {', '.join(candidates)}. Name one in database_service."
        )
    return found[0]


def is_database(container: Container) -> bool:
    """Whether *container* is a PostgreSQL, MariaDB or MySQL server."""
    return _recognise(container) is not None


def project_containers(docker: Docker, compose: Mapping[str, Any]) -> list[Container]:
    """Return all containers of the project that *compose* describes, running or not."""
    running = _containers(docker, compose)
    return docker.all({PROJECT_LABEL: running[0].labels[PROJECT_LABEL]})


def _recognise(container: Container) -> _Server | None:
    # registry/owner/name:tag@digest → name
    image = container.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    for server in _SERVERS:
        # Not by its credentials: applications often get the same ones.
        if image.startswith(server.images) or not container.environment.keys().isdisjoint(server.marks):
            return server
    return None


def _credentials(docker: Docker, container: Container, server: _Server) -> tuple[str, str, str] | None:
    """Return user, password and database from the container's environment or secret files."""
    user = _setting(docker, container, server.user)
    password = _setting(docker, container, server.password if user else server.administrator_password)
    name = _setting(docker, container, server.database)
    if name is None and server.scheme == "postgresql":
        name = user or server.administrator  # as its image does
    if password is None or name is None:
        return None
    return user or server.administrator, password, name


def _setting(docker: Docker, container: Container, names: tuple[str, ...]) -> str | None:
    for name in names:
        if container.environment.get(name):
            return container.environment[name]
        path = container.environment.get(f"{name}_FILE")
        if path:
            return docker.read_file(container, path).rstrip("\r\n")
    return None


def _application_url(containers: list[Container], service: str | None, database: Container) -> str | None:
    """Return the URL by which an application of the project opens *database*."""
    if service and all(one.service != service for one in containers):
        services = ", ".join(sorted({one.service for one in containers}))
        raise UsageError(f"No container of service {service} runs in the project. Services that run: {services}.")
    for container in containers:
        if service and container.service != service:
            continue
        for name in _URL_VARIABLES:
            url = container.environment.get(name, "")
            if "://" in url and (service or urlsplit(url).hostname == database.service):
                return url
    return None


def _address(container: Container, server: _Server) -> tuple[str, int]:
    published = container.published(server.port)
    if published is not None:
        return published
    if container.address is not None:
        return container.address, server.port
    raise CleanupError(
        f"Service {container.service} (container {container.name}) publishes no port and has no "
        "address of its own on this host. Publish its port on 127.0.0.1, or give database_url."
    )
