# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database, and what every kind of server can do with one."""

from __future__ import annotations

import abc
import contextlib
import importlib.util
import itertools
import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from ..missing import MissingPart

Filled = TypeVar("Filled")

# The drivers that the product supports, best first, by the name that SQLAlchemy gives them and the module to import.
DRIVERS: dict[str, tuple[tuple[str, str], ...]] = {
    "postgresql": (("psycopg2", "psycopg2"), ("psycopg", "psycopg")),
    "mysql": (("pymysql", "pymysql"), ("mysqldb", "MySQLdb")),
    "mariadb": (("pymysql", "pymysql"), ("mysqldb", "MySQLdb")),
}

# A character of every kind that a URL must escape, so that no test passes by luck with a harmless password.
PASSWORD_TAIL = "@:/%+ #"


def with_driver(url: str | URL) -> URL:
    """The URL with a driver that is installed here; SQLAlchemy's own choice differs from version to version."""
    parsed = make_url(url)
    if "+" in parsed.drivername or parsed.drivername not in DRIVERS:
        return parsed
    for driver, module in DRIVERS[parsed.drivername]:
        if importlib.util.find_spec(module) is not None:
            return parsed.set(drivername=f"{parsed.drivername}+{driver}")
    names = " or ".join(module for _driver, module in DRIVERS[parsed.drivername])
    raise MissingPart(f"no driver for {parsed.drivername} is installed: pip install {names}")


def loopback_url(scheme: str, role: str, password: str, port: int, database: str) -> str:
    """A URL as users write it: no driver, everything special in the password escaped (SQLAlchemy 1.4 would not)."""
    return f"{scheme}://{role}:{quote(password, safe='')}@127.0.0.1:{port}/{database}"


def open_engine(url: str | URL, **options: Any) -> Engine:
    """An engine that keeps no idle connection: an idle one would stand in the way of cloning or dropping."""
    options.setdefault("poolclass", sa.pool.NullPool)
    return sa.create_engine(with_driver(url), future=True, **options)


@dataclass(frozen=True)
class Database:
    """A fresh database; `url` belongs to its owner, who is no superuser, as in a real deployment."""

    kind: str
    name: str
    url: str
    server: DatabaseServer
    viewer_url: str
    """Of a role that may read every table and change none. On SQLite, which has no roles, the same as `url`."""
    admin_url: str
    """Of the server's superuser."""

    @property
    def password(self) -> str | None:
        """The owner's password as it is, not as the URL escapes it."""
        password = make_url(self.url).password
        return None if password is None else str(password)

    def engine(self, **options: Any) -> Engine:
        return open_engine(self.url, **options)

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """A connection in a transaction that is committed at the end; the engine is gone afterwards."""
        engine = self.engine()
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def execute(self, statement: str | sa.sql.Executable, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run one statement and commit; its rows, or an empty list where it has none."""
        executable = sa.text(statement) if isinstance(statement, str) else statement
        with self.begin() as connection:
            result = connection.execute(executable, parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    def scalar(self, statement: str | sa.sql.Executable, **parameters: Any) -> Any:
        return self.execute(statement, **parameters)[0][0]

    def administer(self, *statements: str) -> None:
        """Run statements as the server's superuser, each committed by itself."""
        engine = open_engine(self.admin_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
        engine.dispose()

    def count(self, table: str) -> int:
        return int(self.scalar(sa.select(sa.func.count()).select_from(sa.table(table))))

    def drop(self) -> None:
        self.server.drop_database(self)


class DatabaseServer(abc.ABC):
    """A running server which makes empty databases, or copies of one that is filled already."""

    kind: str

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._templates: dict[Hashable, tuple[Database, Any]] = {}

    def _next_name(self) -> str:
        return f"fleet_{os.getpid()}_{next(self._numbers)}"

    @abc.abstractmethod
    def new_database(self, template: Database | None = None, time_zone: str | None = None) -> Database:
        """An empty database, or a copy of `template`; sessions in it have `time_zone` where that is given."""

    def filled_database(self, key: Hashable, fill: Callable[[Database], Filled]) -> tuple[Database, Filled]:
        """A copy of the database that `fill` once filled for this key, and what it returned then.

        Migrations and workers take seconds, a copy takes a tenth of one.
        """
        if key not in self._templates:
            template = self.new_database()
            try:
                self._templates[key] = template, fill(template)
            except BaseException:
                template.drop()
                raise
        template, returned = self._templates[key]
        return self.new_database(template=template), returned

    @abc.abstractmethod
    def drop_database(self, database: Database) -> None:
        """Remove it, whoever is still connected."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Stop the server and remove its files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
