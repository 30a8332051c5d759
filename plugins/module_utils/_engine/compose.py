# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A running Compose project, and where its database is.

Containers are found by the labels that Compose gives them, so neither its files nor the variables
they are filled in with are needed.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from .docker import Container, Docker, Listed
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
        images=("postgres", "postgresql", "postgis", "timescaledb", "timescaledb-ha", "pgvector"),
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
        images=("mariadb", "mysql", "mysql-server", "percona", "percona-server"),
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
# SQLAlchemy takes brackets in a password, which urllib.parse takes for an address of IPv6.
_URL = re.compile(
    r"[^:/?#]+://(?:(?P<login>[^/?#]*)@)?(?P<host>\[[^\]/?#]*\]|[^][:/?#@]*)(?::\d*)?(?P<path>/[^?#]*)?(?:[?#].*)?"
)


class Project:
    """A Compose project that runs; Docker is asked for its containers once.

    :param compose: ``project_dir`` or ``project_name``; ``containers`` where their names are known;
        ``database_service``, ``app_service`` and ``docker_cli`` where they cannot be told
    :raises CleanupError: saying what was looked for, and what was found
    """

    def __init__(self, compose: Mapping[str, Any]) -> None:
        self.docker = Docker(compose.get("docker_cli"))
        self.containers = project_containers(self.docker, compose)
        self._database_service = compose.get("database_service")
        self._app_service = compose.get("app_service")

    @property
    def name(self) -> str:
        return self.containers[0].project

    @property
    def scale(self) -> dict[str, int]:
        """How many containers each service has, running or not. After `docker compose up --scale` no file says so."""
        return dict(Counter(one.service for one in self.containers if not one.is_one_off))

    def database_url(self, *, inside: bool = False) -> str:
        """Return the URL of the project's database, with its password.

        :param inside: as the project's own containers reach it, and not this host
        """
        # What `docker compose run` has started is of a service's image, yet serves nobody.
        running = [one for one in self.containers if one.is_running and not one.is_one_off]
        container, server = _database(running, self._database_service)
        address = f"{container.service}:{server.port}" if inside else _address(container, server)
        credentials = _credentials(self.docker, container, server)
        if credentials is not None:
            user, password, name = (quote(part, "") for part in credentials)
            return f"{server.scheme}://{user}:{password}@{address}/{name}"
        url = _application_url(running, self._app_service, container)
        if url is None:
            raise CleanupError(
                f"No credentials were found for service {container.service} "
                f"(container {container.name}): neither in its environment "
                f"({', '.join(dict.fromkeys(server.variables))}, each also as a file with _FILE) nor "
                f"in an application's {' or '.join(_URL_VARIABLES)}. "
                "Name the application in app_service, or give database_url."
            )
        # Without the options: they are for the application's driver, or for its framework.
        return f"{server.scheme}://{url['login'] or ''}@{address}{url['path'] or ''}"


def project_containers(docker: Docker, compose: Mapping[str, Any]) -> list[Container]:
    """Return all containers of the project that *compose* describes, running or not; at least one runs."""
    known = _known_containers(docker, compose)
    if known:
        return known
    listed = docker.listed()
    project = _only_project([one for one in listed if one.is_running], compose)
    return docker.inspect([one.identifier for one in listed if one.project == project])


def _known_containers(docker: Docker, compose: Mapping[str, Any]) -> list[Container]:
    """Return the containers that *compose* names; none where they are no longer what they were."""
    try:
        containers = docker.inspect(compose.get("containers") or ())
    except CleanupError:
        return []  # one of them is gone; where it is Docker that fails, the search says so
    ours = all(_belongs(one, compose) for one in containers)
    return containers if ours and any(one.is_running for one in containers) else []


def _belongs(container: Container | Listed, compose: Mapping[str, Any]) -> bool:
    name, folder = compose.get("project_name"), compose.get("project_dir")
    return (not name or container.project == name) and (
        # Where the project was started through a symbolic link, Compose knows the folder by the link.
        not folder or os.path.realpath(container.folder) == os.path.realpath(folder)
    )


def _only_project(running: list[Listed], compose: Mapping[str, Any]) -> str:
    """Return the name of the one project that *compose* describes."""
    name, folder = compose.get("project_name"), compose.get("project_dir")
    projects = sorted({one.project for one in running if _belongs(one, compose)})
    if len(projects) > 1:
        raise UsageError(
            f"Several Compose projects run from {folder}: {', '.join(projects)}. Name one in project_name."
        )
    if not projects:
        looked_for = f"project {name}" if name else "a project"
        there = ", ".join(sorted({f"{one.project} (in {one.folder})" for one in running})) or "none"
        raise CleanupError(
            f"No container of {looked_for}{f' in {folder}' if folder else ''} runs on this host. "
            f"Compose projects that run: {there}."
        )
    return projects[0]


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


def _recognise(container: Container) -> _Server | None:
    # registry/owner/name:tag@digest → name
    image = container.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    for server in _SERVERS:
        # Not by its credentials: applications often get the same ones.
        if image in server.images or not container.environment.keys().isdisjoint(server.marks):
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
            try:
                return docker.read_file(container, path).rstrip("\r\n")
            except CleanupError as error:
                raise CleanupError(f"{name}_FILE of service {container.service} cannot be read: {error}") from None
    return None


def _application_url(containers: list[Container], service: str | None, database: Container) -> re.Match[str] | None:
    """Return the URL by which an application of the project opens *database*.

    :raises CleanupError: when that of the application that is named does not parse
    """
    if service and all(one.service != service for one in containers):
        services = ", ".join(sorted({one.service for one in containers}))
        raise UsageError(f"No container of service {service} runs in the project. Services that run: {services}.")
    for container in containers:
        if service and container.service != service:
            continue
        for name in _URL_VARIABLES:
            text = container.environment.get(name, "")
            url = _URL.fullmatch(text)
            if service and "://" in text and url is None:
                raise CleanupError(
                    f"{name} of service {service} does not parse; special characters in the user's name or password "
                    "are written as %XX."
                )
            if url is not None and (service or url["host"].lower() in database.host_names):
                return url
    return None


def _address(container: Container, server: _Server) -> str:
    """Return host and port as a URL has them."""
    published = container.published(server.port)
    if published is not None:
        host, port = published
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if container.address is not None:
        return f"{container.address}:{server.port}"
    raise CleanupError(
        f"Service {container.service} (container {container.name}) publishes no port and has no "
        "address of its own on this host. Publish its port on 127.0.0.1, or give database_url."
    )
