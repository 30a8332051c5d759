# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening a database, and talking to it in short transactions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote_plus

from .drivers import parse_url
from .errors import ConflictError, ConnectionLostError, DatabaseError, TableBusyError, UsageError
from .libraries import sa
from .mysql_settings import configure_session
from .postgresql_settings import set_for_a_transaction, set_for_the_session, without_the_hosts_zone

APPLICATION = "fleetops.celery"
CONNECT_TIMEOUT = 10  # seconds
DEFAULT_LOCK_TIMEOUT = timedelta(seconds=2)
_REOPEN_SECONDS = 30.0  # a restart of the server takes less
_REOPEN_INTERVAL = 0.5
_CONFLICTS = 5  # in a row, before a transaction is given up

T = TypeVar("T")


class Database:
    """One connection to one database, opened at first use.

    Use it as a context manager. Every method raises :class:`CleanupError` and nothing else; no
    text of it holds the password.

    :param url: a SQLAlchemy URL; the scheme may leave the driver out
    :param read_only: let the server itself refuse every change
    :param lock_timeout: how long a statement waits for a lock
    """

    def __init__(
        self,
        url: str,
        *,
        read_only: bool = False,
        lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT,
    ) -> None:
        self.kind, self._url = parse_url(url)
        self._read_only = read_only
        self._lock_timeout = lock_timeout
        self._engine: Any = None
        self._open: Any = None
        self._beginnings: list[Callable[[Any], None]] = []
        #: whether each transaction may get another session, from a pooler; known once it is open
        self.pooled = False

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._engine is not None:
            self._engine.dispose()

    @property
    def name(self) -> str:
        """The database in words: ``PostgreSQL database shop at db:5432``."""
        kind = {"postgresql": "PostgreSQL", "mysql": "MariaDB/MySQL", "sqlite": "SQLite"}[self.kind]
        if self.kind == "sqlite":
            return f"{kind} file {self._url.database or ':memory:'}"
        host = self._url.host or self._url.query.get("host") or "the local socket"
        port = f":{self._url.port}" if self._url.port else ""
        return f"{kind} database {self._url.database} at {host}{port}"

    @property
    def database(self) -> str:
        """The database's own name; of SQLite its file."""
        return str(self._url.database or "")

    @property
    def user(self) -> str:
        return str(self._url.username or "")

    def another(self) -> Database:
        """Return the same database for a connection of its own."""
        url = self._url.render_as_string(hide_password=False)
        return Database(url, read_only=self._read_only, lock_timeout=self._lock_timeout)

    @property
    def _connection(self) -> Any:
        if self._open is None:
            self._open = self._connect()
        return self._open

    def _connect(self) -> Any:
        if self.kind == "sqlite" and not os.path.isfile(self._url.database or ""):
            # SQLite would make an empty file of that name.
            raise UsageError(f"{self.name} does not exist where this ran.")
        try:
            with self.translated(connected=False):
                self._engine = sa.create_engine(
                    self._url,
                    future=True,
                    poolclass=sa.pool.NullPool,
                    connect_args=self._connect_arguments(),
                    # psycopg2 and psycopg would first ask the server whether it has the extension hstore.
                    **({"use_native_hstore": False} if self.kind == "postgresql" else {}),
                )
                with without_the_hosts_zone():
                    connection = self._engine.connect()
                try:
                    with connection.begin():
                        self._configure(connection)
                        for begin in self._beginnings:
                            begin(connection)
                except BaseException:
                    connection.close()
                    raise
        except TypeError as error:
            # An option in the URL's query that the driver does not have.
            raise UsageError(f"database_url has an option that its driver does not take: {self.scrub(error)}") from None
        return connection

    def _connect_arguments(self) -> dict[str, Any]:
        if self.kind == "sqlite":
            return {"timeout": self._lock_timeout.total_seconds()}
        arguments: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT}
        if self._url.drivername.endswith("+psycopg"):
            # Prepared statements break behind a pooler that hands out connections per transaction.
            arguments["prepare_threshold"] = None
        return arguments

    def _configure(self, connection: Any) -> None:
        if self.kind == "postgresql":
            only = {"default_transaction_read_only": "on" if self._read_only else "off"}
            self.pooled = not set_for_the_session(connection, {**self._postgresql_settings, **only})
        elif self.kind == "mysql":
            configure_session(connection, self._lock_timeout, self._read_only)
        elif self._read_only:
            connection.execute(sa.text("PRAGMA query_only = ON"))

    @property
    def _postgresql_settings(self) -> dict[str, str]:
        return {
            "application_name": APPLICATION,
            # Zero would be no timeout at all.
            "lock_timeout": str(max(1, int(self._lock_timeout.total_seconds() * 1000))),
            # Compiling a statement costs more than these statements take.
            "jit": "off",
            # A commit that a crash takes back is made again by the next run.
            "synchronous_commit": "off",
        }

    def rows(self, statement: Any) -> Sequence[Any]:
        """Run one statement in a transaction of its own and return its rows."""
        return self.persistently(lambda connection: list(connection.execute(statement)))

    def value(self, statement: Any) -> Any:
        """Run one statement in a transaction of its own; return the first row's first column."""
        rows = self.rows(statement)
        return rows[0][0] if rows else None

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Give the connection for one transaction."""
        connection = self._connection
        with self.translated(connected=True), connection.begin():
            if self.pooled:
                set_for_a_transaction(connection, self._postgresql_settings, *("READ ONLY",) * self._read_only)
            yield connection

    @contextmanager
    def keeping(self, begin: Callable[[Any], None], end: Callable[[Any], None]) -> Iterator[None]:
        """Do *begin* now and with each connection that is opened again, and *end* after the block.

        Behind a pooler neither is done: what is done in one session, the next transaction may find in none.
        """
        self._connection  # noqa: B018 (opens it, and knows then)
        if self.pooled:
            yield
            return
        with self.transaction() as connection:
            begin(connection)
        self._beginnings.append(begin)
        try:
            yield
        finally:
            self._beginnings.remove(begin)
            if self._open is not None:
                with suppress(DatabaseError), self.transaction() as connection:
                    end(connection)

    def ask(self, statement: str) -> list[Any]:
        """Run a user's own statement, which the server keeps from changing anything, and return its rows."""
        start = {"sqlite": "PRAGMA query_only = ON"}.get(self.kind, "SET TRANSACTION READ ONLY")
        connection = self._connection
        try:
            with self.translated(), connection.begin():
                connection.exec_driver_sql(start)
                # Without parameters, so that a driver takes no % of it for a place of one.
                result = connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
                return [list(row) for row in result] if result.returns_rows else []
        finally:
            if self.kind == "sqlite" and not self._read_only:
                with self.translated(), connection.begin():
                    connection.exec_driver_sql("PRAGMA query_only = OFF")

    def persistently(
        self, work: Callable[[Any], T], transaction: Callable[[], AbstractContextManager[Any]] | None = None
    ) -> T:
        """Run *work* in a transaction of its own, and again where it can be expected to succeed then.

        That is after a conflict with another transaction, and, unless this only reads, after the connection was lost:
        it is opened again as soon as the server is back. Where it broke in the commit, the first may have counted.

        :param transaction: what makes the transactions, :meth:`transaction` where not given
        """
        conflicts = 0
        while True:
            try:
                with (transaction or self.transaction)() as connection:
                    return work(connection)
            except ConflictError:
                conflicts += 1
                if conflicts == _CONFLICTS:
                    raise
                time.sleep(0.01 * 2**conflicts)
            except ConnectionLostError as lost:
                if self._read_only:
                    raise
                self._reopen(lost)

    def _reopen(self, lost: ConnectionLostError) -> None:
        """Connect again; raise *lost* where the server stays away, or what else keeps this run from going on."""
        give_up = time.monotonic() + _REOPEN_SECONDS
        while True:
            self._engine.dispose()
            self._open = None
            time.sleep(_REOPEN_INTERVAL)
            try:
                self._connection  # noqa: B018 (opens it)
                return
            except DatabaseError as error:
                if time.monotonic() > give_up:
                    # The table may be busy with what the server has not noticed yet: this run's own lost session.
                    raise (error if isinstance(error, TableBusyError) else lost) from None

    def outside_transaction(self, statement: Any) -> list[Any]:
        """Run a statement that must not be inside a transaction, such as ``VACUUM``."""
        self._connection  # noqa: B018 (opens it, with errors in words)
        with self.translated(connected=True), self._engine.connect() as connection:
            autocommit = connection.execution_options(isolation_level="AUTOCOMMIT")
            if self.kind != "sqlite":
                self._configure(autocommit)
            result = autocommit.execute(statement)
            return list(result) if result.returns_rows else []

    @property
    def dialect(self) -> Any:
        return self._connection.dialect

    def quote(self, table: Any) -> str:
        """Return *table*'s name as SQL, quoted by SQLAlchemy."""
        return str(self._connection.dialect.identifier_preparer.format_table(table))

    def literal(self, condition: Any) -> str:
        """Return *condition* as SQL with its values in it, for people to read."""
        options = {"literal_binds": True, "include_table": False}
        return str(condition.compile(dialect=self._connection.dialect, compile_kwargs=options)).replace("%%", "%")

    def client_environment(self) -> dict[str, str]:
        """Return the variables that tell PostgreSQL's own programs where the database is, and its password."""
        url = self._url
        places = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
        # What the URL's query says goes before the rest, as the drivers have it.
        told = {**places, "database": url.database, **url.query}
        known = (*places, "database", "sslmode", "sslrootcert", "sslcert", "sslkey")
        return {f"PG{name.upper()}": str(told[name]) for name in known if told.get(name)}

    def inspector(self) -> Any:
        with self.translated(connected=True):
            return sa.inspect(self._engine_of_connection())

    def _engine_of_connection(self) -> Any:
        self._connection  # noqa: B018 (opens it, with errors in words)
        return self._engine

    def server_version(self) -> tuple[int, ...]:
        return tuple(self._connection.dialect.server_version_info or ())

    @property
    def is_mariadb(self) -> bool:
        return bool(getattr(self._connection.dialect, "is_mariadb", False))

    @contextmanager
    def translated(self, connected: bool = True) -> Iterator[None]:
        """Turn exceptions of SQLAlchemy and its drivers into errors in words."""
        try:
            yield
        except (sa.exc.DBAPIError, sa.exc.InterfaceError) as error:
            from .refusals import explain  # loaded only where it is needed

            explained = explain(error, self.name, connected, self.user)
            raise type(explained)(self.scrub(explained)) from None
        except (sa.exc.SQLAlchemyError, ValueError) as error:
            # ValueError: a value that its column's type cannot hold, such as a date in another form
            raise DatabaseError(f"{self.name}: {self.scrub(error)}") from None

    def scrub(self, error: Exception | str) -> str:
        """Return the text of *error* without the password in any of the ways it may be spelt."""
        text = str(error)
        secret = str(self._url.password or "")
        for spelling in sorted({secret, quote_plus(secret), repr(secret)[1:-1]}, key=len):
            if spelling:
                text = text.replace(spelling, "***")
        return text
