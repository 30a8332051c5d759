# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures over the real parts in `tests/support`: a part that is missing skips its tests, and fails them in CI."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pytest
from support import tables
from support.applications import Application, WorkerIds, run_worker
from support.missing import MissingPart
from support.running import ModuleForks, link_checkout
from support.running import run_module as run_module_in_process
from support.running import run_playbook as run_playbook_in_process
from support.running import run_through_ansible as run_module_through_ansible
from support.servers import Database, DatabaseServer, MariaDB, PostgreSQL, SQLite

# Tests import the engine as ansible_collections.fleetops.celery.plugins.module_utils._engine
sys.path.insert(0, str(link_checkout()))
importlib.invalidate_caches()

Part = TypeVar("Part")


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def provide(make: Callable[[], Part]) -> Part:
    """The part, or an end of the test that needs it: a person may lack a server, the pipeline may not."""
    try:
        return make()
    except MissingPart as missing:
        if in_ci():
            pytest.fail(f"missing in CI: {missing}", pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with provide(PostgreSQL) as server:
        yield server


@pytest.fixture(scope="session")
def packaged_postgresql() -> Iterator[PostgreSQL]:
    """The system's PostgreSQL, which has pgstattuple and pg_repack."""
    with provide(lambda: PostgreSQL(packaged=True)) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with provide(MariaDB) as server:
        yield server


@pytest.fixture(scope="session")
def sqlite() -> Iterator[SQLite]:
    with SQLite() as server:
        yield server


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
def database_server(request: pytest.FixtureRequest) -> DatabaseServer:
    """Each kind of server in turn."""
    # By name, so that a run of one kind starts no other.
    server: DatabaseServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def database(database_server: DatabaseServer) -> Iterator[Database]:
    """A fresh empty database of each kind in turn."""
    database = database_server.new_database()
    yield database
    database.drop()


@pytest.fixture(params=["postgresql", "mariadb"])
def role_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A fresh empty database of each kind that knows roles and passwords."""
    server: DatabaseServer = request.getfixturevalue(request.param)
    database = server.new_database()
    yield database
    database.drop()


@pytest.fixture
def postgresql_database(postgresql: PostgreSQL) -> Iterator[Database]:
    database = postgresql.new_database()
    yield database
    database.drop()


@pytest.fixture
def mariadb_database(mariadb: MariaDB) -> Iterator[Database]:
    database = mariadb.new_database()
    yield database
    database.drop()


@pytest.fixture
def sqlite_database(sqlite: SQLite) -> Iterator[Database]:
    database = sqlite.new_database()
    yield database
    database.drop()


@pytest.fixture
def make_database(database_server: DatabaseServer) -> Iterator[Callable[..., Database]]:
    """`make_database(fill)`: a fresh copy of what `fill(database)` makes, done once a session for each kind.

    `fill` is one of the functions `create_*` of `support.tables`, or a test's own at module level.
    """
    made: list[Database] = []

    def make(fill: Callable[[Database], None]) -> Database:
        database, _nothing = provide(lambda: database_server.filled_database(fill, fill))
        made.append(database)
        return database

    yield make
    for database in made:
        database.drop()


@pytest.fixture(params=["2.5.1", "2.6.0"], ids=["results-2.5.1", "results-2.6.0"])
def results_version(request: pytest.FixtureRequest) -> str:
    """Each supported version of django-celery-results."""
    version: str = request.param
    return version


@pytest.fixture
def dcr(database_server: DatabaseServer, results_version: str) -> Iterator[Database]:
    """A fresh database with the empty tables of django-celery-results, of each version on each kind."""

    def migrate(database: Database) -> None:
        tables.create_django_celery_results(database, results_version)

    database, _nothing = provide(lambda: database_server.filled_database(("dcr", results_version), migrate))
    yield database
    database.drop()


@pytest.fixture
def beat_tables(make_database: Callable[..., Database]) -> Database:
    """A fresh database with the empty tables of the installed django-celery-beat."""
    return make_database(tables.create_django_celery_beat)


@pytest.fixture
def celery_tables(make_database: Callable[..., Database]) -> Database:
    """A fresh database with the empty tables of Celery's own database backend."""
    return make_database(tables.create_celery_tables)


@pytest.fixture
def processing_tasks(make_database: Callable[..., Database]) -> Database:
    return make_database(tables.create_processing_tasks)


@pytest.fixture
def task_logs(make_database: Callable[..., Database]) -> Database:
    return make_database(tables.create_task_logs)


@pytest.fixture
def reading_sessions(make_database: Callable[..., Database]) -> Database:
    return make_database(tables.create_reading_sessions)


@dataclass(frozen=True)
class WorkerRows:
    application: Application
    ids: WorkerIds

    @property
    def database(self) -> Database:
        return self.application.database


@pytest.fixture
def worker_rows(database_server: DatabaseServer) -> Iterator[Callable[..., WorkerRows]]:
    """`worker_rows(backend="django-db", serializer="json", result_extended=True, ...)`: what a real worker left.

    The options are those of `support.applications.Application`. The worker runs once a session for each set of them.
    """
    made: list[Database] = []

    def make(**options: str | bool | None) -> WorkerRows:
        def work(database: Database) -> WorkerIds:
            application = Application(database, **options)  # type: ignore[arg-type]
            application.create_tables()
            return run_worker(application)

        key = ("worker", *sorted(options.items()))
        database, ids = provide(lambda: database_server.filled_database(key, work))
        made.append(database)
        return WorkerRows(Application(database, **options), ids)  # type: ignore[arg-type]

    yield make
    for database in made:
        database.drop()


@pytest.fixture(scope="session")
def run_module() -> Callable[..., dict[str, object]]:
    """`run_module(name, args, check=False, diff=False, env=None)`: the module's result, from a process of its own."""
    return run_module_in_process


@pytest.fixture(scope="session")
def fork_module() -> Iterator[Callable[..., dict[str, object]]]:
    """`fork_module(name, args, check=False, diff=False)`: the same, ten times as fast, in one environment."""
    with ModuleForks() as forks:
        yield forks.run


@pytest.fixture(scope="session")
def run_through_ansible() -> Callable[..., object]:
    """The same through `ansible-playbook`, with the action plugin: returns (result, run). Slower by seconds."""
    return run_module_through_ansible


@pytest.fixture(scope="session")
def run_playbook() -> Callable[..., object]:
    """`run_playbook(playbook, inventory, extra_vars, check, diff, env, verbosity, terminal)`: output, tasks, recap."""
    return run_playbook_in_process
