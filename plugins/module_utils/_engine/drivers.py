# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which driver serves a database URL in this interpreter."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, NamedTuple

from .errors import MissingLibraryError, UsageError
from .libraries import require_sqlalchemy, sa


class Driver(NamedTuple):
    name: str  #: as in ``postgresql+NAME://``
    module: str  #: what is imported
    requirement: str  #: what pip installs
    package: str  #: what Debian and Fedora call it


#: The first that is installed serves.
DRIVERS = {
    "postgresql": (
        Driver("psycopg2", "psycopg2", "psycopg2-binary", "python3-psycopg2"),
        Driver("psycopg", "psycopg", "psycopg[binary]", "python3-psycopg"),
    ),
    "mysql": (
        Driver("pymysql", "pymysql", "PyMySQL", "python3-pymysql"),
        Driver("mysqldb", "MySQLdb", "mysqlclient", "python3-mysqldb"),
    ),
    "sqlite": (Driver("pysqlite", "sqlite3", "", "python3"),),
}

_KINDS = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
}
# What applications use inside an event loop; the same database is opened the ordinary way.
_ASYNC_DRIVERS = {"asyncpg", "psycopg_async", "aiomysql", "asyncmy", "aiosqlite"}


def needed_modules(text: str) -> list[str]:
    """Return the sets of modules, any of which can open *text*, as ``import`` takes them.

    Needs no SQLAlchemy, so it tells which interpreter would do where this one does not.
    """
    kind, wanted = _scheme(text)
    drivers = DRIVERS.get(_KINDS.get(kind, ""), ())
    named = [one for one in drivers if one.name == wanted] or drivers
    return [f"sqlalchemy, {driver.module}" for driver in named]


def kind_of(text: str) -> str:
    """Return the kind of database that *text* opens. Needs no SQLAlchemy.

    :raises UsageError: when it is none that is known
    """
    kind = _KINDS.get(_scheme(text)[0])
    if kind is None:
        # Of what does not begin with a scheme nothing is repeated, for it may be a password.
        raise UsageError("database_url must begin with postgresql://, mysql://, mariadb:// or sqlite://.")
    return kind


def _scheme(text: str) -> tuple[str, str]:
    """Return a URL's dialect, and its driver if it names one."""
    dialect, _plus, driver = text.removeprefix("db+").partition(":")[0].partition("+")
    return dialect.lower(), driver


def parse_url(text: str) -> tuple[str, Any]:
    """Return the kind of database (``postgresql``, ``mysql``, ``sqlite``) and the URL to open.

    :raises UsageError: when it does not parse; the text is not repeated, for it holds a password
    :raises MissingLibraryError: when SQLAlchemy or every driver is missing
    """
    require_sqlalchemy()
    form = "scheme://user:password@host:port/database"
    try:
        # Celery's own setting may be copied as it is: db+postgresql://…
        url = sa.engine.make_url(text.removeprefix("db+"))
        scheme, _plus, driver = url.drivername.partition("+")
        if "@" in f"{url.host}{url.database}" and scheme != "sqlite":
            # Of a password with an @ that is not escaped, the rest would be taken for the host.
            raise ValueError("two @")
    except Exception:
        # from None: SQLAlchemy's message repeats the URL
        raise UsageError(
            f"database_url does not parse. It has the form {form}; special characters in the "
            "user's name or password are written as %XX."
        ) from None
    kind = _KINDS.get(scheme.lower())
    if kind is None:
        raise UsageError(
            f"database_url begins with {scheme}://, which is not supported; use postgresql, mysql, mariadb or sqlite."
        )
    if kind != "sqlite" and not url.database:
        raise UsageError(f"database_url names no database. It has the form {form}.")
    known = {one.name for one in DRIVERS[kind]}
    if driver and driver not in known and driver not in _ASYNC_DRIVERS:
        raise UsageError(
            f"database_url asks for the driver {driver}, which is not supported; "
            f"use {' or '.join(sorted(known))}, or name none."
        )
    chosen = _installed_driver(kind, "" if driver in _ASYNC_DRIVERS else driver)
    return kind, url.set(drivername=f"{kind}+{chosen.name}")


def _installed_driver(kind: str, wanted: str) -> Driver:
    candidates = [one for one in DRIVERS[kind] if wanted in ("", one.name)]
    for driver in candidates:
        if find_spec(driver.module) is not None:
            return driver
    raise MissingLibraryError(
        f"A driver for {kind} ({' or '.join(one.module for one in candidates)})",
        candidates[0].requirement,
        [one.package for one in candidates],
    )
