# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running Compose project, which is taken down with its volumes."""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..servers.base import PASSWORD_TAIL, Database, DatabaseServer
from .command import docker
from .images import Images
from .project_files import FLAVOURS, NAME, USER, Kind, make_files


class _Container(DatabaseServer):
    """The server behind a project's only database; it comes and goes with the project."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind

    def new_database(self, template: Database | None = None, time_zone: str | None = None) -> Database:
        raise NotImplementedError

    def drop_database(self, database: Database) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class ComposeProject:
    folder: Path
    name: str
    kind: Kind
    password: str
    """Of the database, as it is: with characters that a URL must escape."""

    def compose(self, *arguments: str) -> str:
        """`docker compose` in the project's folder; what it printed."""
        return docker("compose", "--project-name", self.name, *arguments, cwd=self.folder)

    def start(self, *services: str) -> None:
        """Bring it up, or *services* and what they depend on: its tables are made, and worker and beat are at work."""
        self.compose("up", "--detach", "--build", "--wait", *services)

    def remove(self) -> None:
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout=0")
        docker("image", "rm", "--force", f"{self.name}-backend")

    def containers(self, service: str) -> list[str]:
        """The ids of a service's running containers."""
        return self.compose("ps", "--quiet", service).split()

    @contextlib.contextmanager
    def scaled(self, service: str, number: int) -> Iterator[None]:
        """While *service* has as many containers, as `docker compose up --scale` makes them."""
        one = ["up", "--detach", "--no-deps", "--wait", service]
        self.compose(*one, f"--scale={service}={number}")
        try:
            yield
        finally:
            self.compose(*one)

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows about the service's first container."""
        description: dict[str, Any] = json.loads(docker("inspect", self.containers(service)[0]))[0]
        return description

    def django(self, program: str) -> str:
        """Run a program in the application, as `manage.py shell -c` does; what it printed."""
        return self.compose("exec", "-T", "backend", "python", "manage.py", "shell", "--no-imports", "-c", program)

    def send(self, task: str, *args: object) -> str:
        """Send a task of `apps.scheduler.tasks` to the worker; its id."""
        call = f"send_task('apps.scheduler.tasks.{task}', args={args!r})"
        return self.django(f"from shop.celery import app; print(app.{call}.id)").strip()

    def schedule(self) -> dict[str, bool]:
        """The periodic tasks in the database: whether each is enabled, by name."""
        rows = self.database().execute("SELECT name, enabled FROM django_celery_beat_periodictask")
        return {name: bool(enabled) for name, enabled in rows}

    def restart_beat(self) -> None:
        """Restart it, and wait until it has installed its default entries and looks at its schedule."""
        since = datetime.now(timezone.utc).isoformat()
        self.compose("restart", "--timeout=5", "celery_beat")
        deadline = time.monotonic() + 30
        while "beat: Starting" not in self.compose("logs", "--no-color", f"--since={since}", "celery_beat"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"beat of {self.name} did not start within 30 s")
            time.sleep(0.5)
        time.sleep(2)

    def database(self) -> Database:
        """The database as the host reaches it: by the container's address."""
        flavour = FLAVOURS[self.kind]
        networks = self.inspect("db")["NetworkSettings"]["Networks"]
        address = next(network["IPAddress"] for network in networks.values())
        url = f"{flavour.scheme}://{USER}:{quote(self.password, safe='')}@{address}:{flavour.port}/{NAME}"
        return Database(self.kind, NAME, url, _Container(self.kind), viewer_url=url, admin_url=url)


@contextlib.contextmanager
def up(
    name: str,
    images: Images,
    *,
    services: Sequence[str] = (),
    database: Kind = "postgresql",
    folder_name: str | None = None,
    linked: bool = False,
    **setup: Any,
) -> Iterator[ComposeProject]:
    """Bring a project up, and down at the end.

    :param name: the project's; that of its folder too
    :param services: those alone, with what they depend on; every one where none is named
    :param folder_name: where it is not the project's name, as after `docker compose -p`
    :param linked: whether the folder is a symbolic link, as `current` to one of several releases
    :param setup: what else `make_files` takes
    """
    # The engine reads the files too, and it may not see a temporary folder that is private to this process.
    with tempfile.TemporaryDirectory(prefix="fleet-compose-") as scratch:
        folder = Path(scratch, folder_name or name)
        if linked:
            folder.symlink_to("release-1", target_is_directory=True)
        password = secrets.token_hex(8) + PASSWORD_TAIL
        make_files(folder.resolve(), images, password, database=database, **setup)
        project = ComposeProject(folder, name, database, password)
        try:
            project.start(*services)
            yield project
        except BaseException:
            with contextlib.suppress(RuntimeError):
                print(project.compose("logs", "--no-color", "--tail=20"))
            raise
        finally:
            project.remove()
