# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interpreters as managed hosts have them: with the oldest libraries, the newest, the distribution's, or none."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

from environments import NEWEST, Environment
from interpreters import NoInterpreter
from steps import Log
from workspace import BUILD, LOGS

from .missing import MissingPart

DISTRIBUTION = Path("/usr/bin/python3")

OLDEST_HOST = Environment("oldest host", BUILD / "venv-host-oldest", ("3.9",), ("host-oldest",))
NEWEST_HOST = Environment("newest host", BUILD / "venv-host-newest", ("3.14", *NEWEST), ("host-newest",))


def with_libraries(environment: Environment) -> Path:
    """The interpreter of a virtual environment, made when it is first asked for."""
    try:
        environment.prepare(Log(LOGS / f"{environment.path.name}.log", live=False))
    except (NoInterpreter, RuntimeError) as error:
        raise MissingPart(f"{environment.label}: {error}") from None
    return Path(environment.python)


def of_the_distribution() -> Path:
    """The system's Python with all libraries that the role `prerequisites` installs there, and mysqlclient."""
    if not can_import(DISTRIBUTION, "sqlalchemy, psycopg2, pymysql, MySQLdb"):
        raise MissingPart(
            "the distribution's libraries: apt install"
            " python3-sqlalchemy python3-psycopg2 python3-pymysql python3-mysqldb"
        )
    return DISTRIBUTION


def without_libraries(folder: Path) -> Path:
    """An interpreter that has the standard library alone."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    assert not can_import(python, "sqlalchemy")
    return python


def can_import(python: Path, modules: str) -> bool:
    if not python.exists():
        return False
    return subprocess.run([python, "-c", f"import {modules}"], capture_output=True, check=False).returncode == 0


# The interpreter, and the scheme under which each database is opened by it; without a scheme it is left out.
HOSTS: dict[str, tuple[Callable[[], Path], dict[str, str]]] = {
    "oldest": (
        lambda: with_libraries(OLDEST_HOST),
        {"postgresql": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"},
    ),
    "newest": (lambda: with_libraries(NEWEST_HOST), {"postgresql": "postgresql", "sqlite": "sqlite"}),
    "distribution": (
        of_the_distribution,
        {"postgresql": "postgresql+psycopg2", "mariadb": "mariadb+mysqldb", "sqlite": "sqlite"},
    ),
}
#: Each host with each kind of database that it opens.
HOSTS_AND_KINDS = [(host, kind) for host, (_python, schemes) in HOSTS.items() for kind in schemes]


def url_on(host: str, kind: str, url: str) -> str:
    """*url* as that host opens it."""
    return f"{HOSTS[host][1][kind]}:{url.partition(':')[2]}"
