# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database's password shows nowhere: not in what is returned or printed, nor in a process that others may see."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import sqlalchemy as sa
from support.running import ModuleRun
from support.servers import Database
from support.servers.processes import free_port
from support.tables import Ago, Rows, create_processing_tasks, fill

RunModule = Callable[..., ModuleRun]
MakeDatabase = Callable[..., Database]

DAY = 86_400.0
TASKS = {"profile": "processing_tasks"}
MODULES: list[tuple[str, dict[str, Any]]] = [
    ("deployment_info", {}),
    ("results_info", TASKS),
    ("results_purge", TASKS),
    ("zombie_fail", TASKS),
    ("results_index", TASKS),
    ("results_vacuum", TASKS),
]


def _tasks(database: Database) -> None:
    create_processing_tasks(database)
    task = {"task_type": "DOWNLOAD", "created_at": Ago(40 * DAY), "started_at": Ago(40 * DAY)}
    fill(database, "processing_tasks", [Rows(60, {**task, "status": status}) for status in ("SUCCESS", "RUNNING")])


def _spellings(password: str) -> set[str]:
    """Every way to write it, and the part before its first special character, which is sixteen random digits."""
    whole = {password, quote(password, safe=""), quote_plus(password), repr(password)[1:-1], json.dumps(password)[1:-1]}
    part = password.partition("@")[0]
    assert len(part) == 16
    return {*whole, part, part[:8], part[8:]}


def _absent(password: str, text: str) -> None:
    found = [spelling for spelling in _spellings(password) if spelling in text]
    assert not found, f"{found} in {text}"


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("check", [True, False], ids=["check", "do"])
def test_results_and_diffs_hold_no_password(make_database: MakeDatabase, fork_module: RunModule, check: bool) -> None:
    database = make_database(_tasks)
    assert database.password is not None
    for module, arguments in MODULES:
        run = fork_module(module, {"database_url": database.url, **arguments}, check=check, diff=True)
        assert not run.get("failed"), run
        # The arguments are part of what the module says here, and they have the URL.
        assert run["invocation"]["module_args"]["database_url"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
        _absent(database.password, run.output)


def _broken(database: Database) -> dict[str, str]:
    """URLs with the real password that fail each in a way of its own."""
    url = sa.make_url(database.url)
    secret = quote(str(url.password), safe="")
    scheme, host = url.drivername, f"{url.host}:{url.port}"
    return {
        "away": f"{scheme}://app:{secret}@127.0.0.1:{free_port()}/{url.database}",
        "user": f"{scheme}://nobody:{secret}@{host}/{url.database}",
        "database": f"{scheme}://app:{secret}@{host}/nothing",
        "host": f"{scheme}://app:{secret}@no-such-host.invalid/{url.database}",
        "password": f"{scheme}://app:{secret}x@{host}/{url.database}",
        # PostgreSQL's driver repeats the value, MariaDB's the name.
        "option": f"{database.url}?sslmode={secret}",
        "unescaped": f"{scheme}://app:{url.password}@{host}/{url.database}",
        "port": f"{scheme}://app:{secret}@127.0.0.1:port/{url.database}",
        "scheme": f"oracle://app:{secret}@{host}/{url.database}",
        # SQLAlchemy ends a password at the first of these, and the rest is the host's name or the database's.
        "at": f"{scheme}://app:x@{secret[:16]}@{host}/{url.database}",
        "at-slash": f"{scheme}://app:x@y/{secret[:16]}@{host}/{url.database}",
        # Read as a port and a database: what follows the slash would be taken for a name.
        "slash": f"{scheme}://app:12/{url.password}@{host}/{url.database}",
        "no-scheme": f"app:{secret}@{host}/{url.database}",
        "table": database.url,
    }


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("module", [name for name, _arguments in MODULES])
def test_failures_hold_no_password(make_database: MakeDatabase, fork_module: RunModule, module: str) -> None:
    database = make_database(create_processing_tasks)
    assert database.password is not None
    for name, url in _broken(database).items():
        run = fork_module(
            module, {"database_url": url, **({} if module == "deployment_info" else {"table": "nothing"})}
        )
        assert run.get("failed") or run.get("findings"), name
        _absent(database.password, run.output)
        assert "Traceback" not in run.output


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
def test_ansible_prints_no_password_however_verbose(
    make_database: MakeDatabase, run_playbook: Callable[..., Any], tmp_path: Path
) -> None:
    database = make_database(_tasks)
    assert database.password is not None
    away = database.url.replace(str(sa.make_url(database.url).port), str(free_port()))
    tasks: list[dict[str, Any]] = []
    for url in ("{{ good }}", "{{ away }}"):
        for module, arguments in (MODULES[1], MODULES[2]):
            tasks.append({f"fleetops.celery.{module}": {"database_url": url, **arguments}, "ignore_errors": True})
    playbook = tmp_path / "tasks.yml"
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    variables = {"good": database.url, "away": away, "ansible_connection": "local"}
    # With the arguments of each task, as older versions of Ansible print them by themselves.
    env = {"ANSIBLE_INJECT_INVOCATION": "true"}
    run = run_playbook(playbook, extra_vars=variables, diff=True, verbosity=4, env=env)
    assert "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in run.output
    outcomes = [task["outcome"] for task in run.tasks]
    assert outcomes == ["ok", "ok", "failed", "failed"], run.output
    _absent(database.password, run.output)
    _absent(database.password, json.dumps(run.tasks))


def test_the_role_prints_no_password(
    postgresql_database: Database, run_playbook: Callable[..., Any], tmp_path: Path
) -> None:
    _tasks(postgresql_database)
    assert postgresql_database.password is not None
    playbook = tmp_path / "clean.yml"
    playbook.write_text(json.dumps([{"ansible.builtin.import_playbook": "fleetops.celery.cleanup"}]))
    variables = {"celery_database_url": postgresql_database.url, "ansible_connection": "local"}
    env = {"ANSIBLE_INJECT_INVOCATION": "true"}
    run = run_playbook(playbook, extra_vars=variables, check=True, diff=True, verbosity=4, env=env)
    assert run.exit_code == 0, run.output
    _absent(postgresql_database.password, run.output)


class _Watch(threading.Thread):
    """Reads what the system shows of every process, until told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.command_lines: set[str] = set()
        self.environments: set[str] = set()

    def run(self) -> None:
        while not self.ended.wait(0.02):
            for process in Path("/proc").glob("[0-9]*"):
                for name, seen in (("cmdline", self.command_lines), ("environ", self.environments)):
                    with contextlib.suppress(OSError):
                        seen.add((process / name).read_bytes().replace(b"\0", b"\n").decode(errors="replace"))


@pytest.fixture
def watch() -> Iterator[_Watch]:
    watch = _Watch()
    watch.start()
    yield watch
    watch.ended.set()
    watch.join()


def test_no_process_shows_the_password_while_a_module_runs(
    postgresql_database: Database, run_through_ansible: Callable[..., Any], watch: _Watch
) -> None:
    _tasks(postgresql_database)
    password = postgresql_database.password
    assert password is not None
    arguments = {"database_url": postgresql_database.url, **TASKS, "batch_size": 20, "pause": "1s"}
    result, _run = run_through_ansible("results_purge", arguments)
    watch.ended.set()
    watch.join()
    assert (result["deleted"], result["batches"] >= 3) == (60, True)
    # It did look while the module was at work.
    assert any("AnsiballZ_results_purge" in line for line in watch.command_lines)
    for text in (*watch.command_lines, *watch.environments):
        _absent(password, text)


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
def test_the_environment_may_hold_the_url(make_database: MakeDatabase, run_module: RunModule) -> None:
    database = make_database(_tasks)
    assert database.password is not None
    run = run_module("zombie_fail", TASKS, diff=True, env={"CELERY_DATABASE_URL": database.url})
    assert (run["changed"], run["ended"]) == (True, 60)
    _absent(database.password, run.output)
    failed = run_module("results_info", TASKS, env={"CELERY_DATABASE_URL": _broken(database)["away"]})
    assert "Cannot open" in failed["msg"]
    _absent(database.password, failed.output)
