# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB on a loopback port, with passwords: the system's own server over a folder of ours."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from ..missing import MissingPart
from .base import PASSWORD_TAIL, Database, DatabaseServer, loopback_url, open_engine
from .processes import ServerProcess, free_port, give_to_service, new_folder, remove_folder, run_tool

OWNER, VIEWER, ADMIN = "app", "viewer", "admin"
SEARCH_PATH = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/opt/homebrew/opt/mariadb/bin")

# These databases live for minutes; what a power failure would do to them is nobody's concern.
UNSAFE_BUT_FAST = ("--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite", "--skip-log-bin")


def _find(program: str) -> Path:
    found = shutil.which(program) or shutil.which(program, path=":".join(SEARCH_PATH))
    if found is None:
        raise MissingPart(f"MariaDB ({program}): install the system's MariaDB server, e.g. apt install mariadb-server")
    return Path(found)


class MariaDB(DatabaseServer):
    """A server of our own. Its URLs have the scheme `mysql` and no driver, as users write them."""

    kind = "mariadb"

    def __init__(self, options: tuple[str, ...] = ()) -> None:
        super().__init__()
        server, installer = _find("mariadbd"), _find("mariadb-install-db")
        self.folder = new_folder("mdb")
        self.passwords = {role: secrets.token_hex(8) + PASSWORD_TAIL for role in (OWNER, VIEWER, ADMIN)}
        try:
            self._start(server, installer, options)
        except BaseException:
            self.stop()
            raise

    _process: ServerProcess | None = None

    def _start(self, server: Path, installer: Path, options: tuple[str, ...]) -> None:
        data, init_file = self.folder / "data", self.folder / "roles.sql"
        run_tool(
            [installer, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
             "--skip-test-db"],
            self.folder,
        )  # fmt: skip
        init_file.touch(mode=0o600)
        init_file.write_text(self._roles())
        give_to_service(init_file)
        self.port = free_port()
        self._process = ServerProcess(
            [server, "--no-defaults", f"--datadir={data}", f"--socket={self.folder / 'socket'}",
             f"--pid-file={self.folder / 'pid'}", "--bind-address=127.0.0.1", f"--port={self.port}",
             "--skip-name-resolve", f"--init-file={init_file}", "--character-set-server=utf8mb4",
             "--performance-schema=OFF", *UNSAFE_BUT_FAST, *options],
            self.folder,
            signal.SIGTERM,
        )  # fmt: skip
        self._process.wait_until_ready(self._answers)
        init_file.unlink()

    def _roles(self) -> str:
        """The statements of the init file, one a line. Databases of ours share a prefix, so one grant covers them."""
        grants = {
            ADMIN: "ALL PRIVILEGES ON *.* TO {} WITH GRANT OPTION",
            OWNER: r"ALL PRIVILEGES ON `fleet\_%`.* TO {}",
            VIEWER: r"SELECT ON `fleet\_%`.* TO {}",
        }
        lines = ["DROP USER IF EXISTS root@localhost;"]
        for role, grant in grants.items():
            account = f"'{role}'@'127.0.0.1'"
            lines.append(f"CREATE USER {account} IDENTIFIED BY '{self.passwords[role]}';")
            lines.append(f"GRANT {grant.format(account)};")
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        try:
            with self._connect():
                return True
        except OperationalError:
            return False

    @contextlib.contextmanager
    def _connect(self) -> Iterator[Connection]:
        engine = open_engine(self._url(ADMIN, ""), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            yield connection

    def _url(self, role: str, database: str) -> str:
        return loopback_url("mysql", role, self.passwords[role], self.port, database)

    def new_database(self, template: Database | None = None, time_zone: str | None = None) -> Database:
        if time_zone is not None:
            raise MissingPart("MariaDB has no time zone of a database; use the server's `time_zone` context")
        name = self._next_name()
        with self._connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
            if template is not None:
                _copy_tables(connection, template.name, name)
        return Database(self.kind, name, self._url(OWNER, name), self, self._url(VIEWER, name), self._url(ADMIN, name))

    @contextlib.contextmanager
    def time_zone(self, offset: str) -> Iterator[None]:
        """New sessions have this offset, such as `+05:30`, until the block ends."""
        with self._connect() as connection:
            before = connection.execute(sa.text("SELECT @@GLOBAL.time_zone")).scalar_one()
            connection.execute(sa.text("SET GLOBAL time_zone = :offset"), {"offset": offset})
            try:
                yield
            finally:
                connection.execute(sa.text("SET GLOBAL time_zone = :offset"), {"offset": before})

    def drop_database(self, database: Database) -> None:
        with self._connect() as connection:
            # DROP would wait for ever for a transaction that some session left open.
            sessions = connection.execute(
                sa.text("SELECT id FROM information_schema.processlist WHERE db = :name"), {"name": database.name}
            )
            for (session,) in sessions.all():
                with contextlib.suppress(OperationalError):  # gone meanwhile
                    connection.execute(sa.text(f"KILL {int(session)}"))
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {database.name}"))

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
        remove_folder(self.folder)


def _copy_tables(connection: Connection, source: str, target: str) -> None:
    """MariaDB can't copy a database; SHOW CREATE TABLE, unlike CREATE TABLE LIKE, keeps the foreign keys."""
    connection.execute(sa.text("SET foreign_key_checks = 0"))
    tables = connection.execute(
        sa.text("SELECT table_name FROM information_schema.tables WHERE table_schema = :name"), {"name": source}
    )
    for (table,) in tables.all():
        create = connection.execute(sa.text(f"SHOW CREATE TABLE `{source}`.`{table}`")).one()[1]
        connection.execute(sa.text(f"USE {target}"))
        connection.exec_driver_sql(create.replace("%", "%%"))
        connection.execute(sa.text(f"INSERT INTO `{target}`.`{table}` SELECT * FROM `{source}`.`{table}`"))
    connection.execute(sa.text("SET foreign_key_checks = 1"))
