# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a Compose project, made from the template in `project/`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import yaml

from .images import Images

Kind = Literal["postgresql", "mariadb"]
Credentials = Literal["environment", "files", "application"]
"""Where the database's password is: in its container's environment, in a secret file, or only in the application's."""

TEMPLATE = Path(__file__).with_name("project")
NAME, USER = "shop", "shop"
SECRET = "/run/secrets/database_password"
#: The hour, in UTC, of the application's own periodic tasks: far off, or one would leave its record in a test.
NIGHT = (datetime.now(timezone.utc) + timedelta(hours=12)).hour


@dataclass(frozen=True)
class Flavour:
    port: int
    scheme: str
    variables: dict[str, str]
    """The database container's, without the password."""
    password: str
    """The variable of the password."""


FLAVOURS: dict[Kind, Flavour] = {
    "postgresql": Flavour(5432, "postgresql", {"POSTGRES_USER": USER, "POSTGRES_DB": NAME}, "POSTGRES_PASSWORD"),
    "mariadb": Flavour(3306, "mysql", {"MARIADB_USER": USER, "MARIADB_DATABASE": NAME}, "MARIADB_PASSWORD"),
}


def make_files(
    folder: Path,
    images: Images,
    password: str,
    *,
    database: Kind = "postgresql",
    published_port: bool = True,
    credentials: Credentials = "environment",
    workers: int = 1,
    result_expires: int | None = None,
    health_interval: str = "1s",
    one_file: bool = False,
) -> None:
    """Make a project's folder.

    :param password: the database's
    :param workers: how many containers of the worker
    :param result_expires: the application's; with None, Celery makes no `celery.backend_cleanup`
    :param health_interval: short, so that the project is soon known to be well; many such projects load the machine
    :param one_file: whether Compose finds one file by itself, and so would read an override file beside it
    """
    shutil.copytree(TEMPLATE, folder)
    overlays = [f"compose.{database}.yml"] + ["compose.published.yml"] * published_port
    if one_file:
        _join(folder / "compose.yml", [folder / name for name in overlays])
    _write_variables(
        folder / ".env",
        {
            **({} if one_file else {"COMPOSE_FILE": ":".join(["compose.yml", *overlays])}),
            "DATABASE_IMAGE": images.postgresql if database == "postgresql" else images.mariadb,
            "DATABASE_PORT": str(FLAVOURS[database].port),
            "REDIS_IMAGE": images.redis,
            "APPLICATION_IMAGE": images.application,
            "WORKER_REPLICAS": str(workers),
            "HEALTH_INTERVAL": health_interval,
        },
    )
    _write_credentials(folder, database, password, credentials, result_expires)


def _join(path: Path, overlays: list[Path]) -> None:
    """Put what the overlays say into the file itself."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for overlay in overlays:
        added = yaml.safe_load(overlay.read_text(encoding="utf-8"))
        for name, service in added["services"].items():
            document["services"][name].update(service)
        document.update({name: value for name, value in added.items() if name != "services"})
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    for file in path.parent.glob("compose.*.yml"):
        file.unlink()


def _write_credentials(
    folder: Path, database: Kind, password: str, credentials: Credentials, result_expires: int | None
) -> None:
    flavour = FLAVOURS[database]
    of_database, of_application = dict(flavour.variables), {}
    login = f"{USER}:{quote(password, safe='')}"
    if credentials == "environment":
        of_database[flavour.password] = password
    elif credentials == "files":
        of_database[f"{flavour.password}_FILE"] = SECRET
        of_application["DATABASE_PASSWORD_FILE"] = SECRET
        login = USER
    else:
        of_database["POSTGRES_HOST_AUTH_METHOD"] = "trust"
    if database == "mariadb":
        of_database["MARIADB_RANDOM_ROOT_PASSWORD"] = "1"
    of_application["DATABASE_URL"] = f"{flavour.scheme}://{login}@db:{flavour.port}/{NAME}"
    of_application["CELERY_RESULT_EXPIRES"] = str(result_expires or "")
    of_application["NIGHT"] = str(NIGHT)
    _write_variables(folder / "db.env", of_database)
    _write_variables(folder / "app.env", of_application)
    secret = folder / "secrets" / "database_password"
    secret.parent.mkdir()
    secret.touch(mode=0o600)
    secret.write_text(password + "\n", encoding="utf-8")


def _write_variables(path: Path, variables: dict[str, str]) -> None:
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}='{value}'\n" for name, value in variables.items()), encoding="utf-8")
