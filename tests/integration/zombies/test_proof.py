# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a real worker name its processes, in every encoding; what proves them dead ends them at any age."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.owners import Owner
from ansible_collections.fleetops.celery.plugins.module_utils._engine.proof import Containers
from support import engine
from support.docker.engine_stub import EngineStub, describe

Options = dict[str, Any]

ENCODINGS: list[Options] = [
    {"backend": "django-db", "results_version": "2.6.0"},
    {"backend": "django-db", "serializer": "pickle", "results_version": "2.5.1"},
    {"backend": "django-db", "serializer": "pickle", "results_version": "2.6.0"},
    {"backend": "database", "result_extended": False},
    {"backend": "database", "serializer": "pickle"},
    {"backend": "database", "celery_version": "5.6.3"},
    {"backend": "database", "serializer": "pickle", "celery_version": "5.6.3"},
]
# The two encodings of a pickle on every kind of database, for their drivers return it each in its own way.
EVERYWHERE = [ENCODINGS[2], ENCODINGS[4]]
RULES = [{"name": "started", "statuses": ["STARTED"], "older_than": "52w"}]


def _name(options: Options) -> str:
    return "-".join(str(value) for value in options.values())


@pytest.fixture
def stopped(tmp_path: Path) -> EngineStub:
    """What Docker says of a project with one container, where the worker ran."""
    return EngineStub(tmp_path, describe("f" * 64, socket.gethostname(), state="exited"))


def _prove(worker_rows: Callable[..., Any], engine_of_project: EngineStub, options: Options) -> None:
    left = worker_rows(**options)
    dead = {left.ids.hanging, left.ids.stuck_chord_hanging_member}
    of_django = options["backend"] == "django-db"
    where = {
        "profile": "django_celery_results" if of_django else "celery_database",
        # Celery's own table says of no unfinished row how old it is.
        "columns": None if of_django else {"started": "date_done"},
    }

    # The containers of a project say nothing of a process that ran elsewhere.
    elsewhere = Containers(engine_of_project.docker, [])
    left_alone = engine.fail_zombies(left.database, RULES, elsewhere, **where)
    assert {one["verdict"] for one in left_alone["verdicts"]} == {"unknown"}
    assert (left_alone["matched"], left_alone["changed"]) == (0, False)

    stopped = Containers(engine_of_project.docker, engine_of_project.containers)
    planned = engine.fail_zombies(left.database, RULES, stopped, check=True, **where)
    done = engine.fail_zombies(left.database, RULES, stopped, **where)
    assert planned["verdicts"] == done["verdicts"]
    assert {one["identity"] for one in done["verdicts"]} == dead
    for one in done["verdicts"]:
        assert (one["host"], one["status"]) == (socket.gethostname(), "STARTED")
        assert one["verdict"] == "container_stopped"
        assert one["task"] == (None if options.get("result_extended") is False else "shop.tasks.hang")
    # Each of the worker's processes had one of them.
    assert len({one["pid"] for one in done["verdicts"]} - {None}) == 2
    assert [result["matched"] for result in (planned, done)] == [2, 2]
    assert [result["ended"] for result in (planned, done)] == [0, 2]
    assert {one["identity"]: one["verdict"] for one in done["rows"]} == dict.fromkeys(dead, "container_stopped")
    assert done["report"][-1] == "  The containers were asked about 2 records: 2 container_stopped"
    assert left.application.read(left.ids.hanging).state == "FAILURE"
    again = engine.fail_zombies(left.database, RULES, stopped, **where)
    assert (again["verdicts"], again["changed"]) == ([], False)


@pytest.mark.parametrize("options", EVERYWHERE, ids=_name)
def test_a_pickled_owner_is_read_from_every_database(
    worker_rows: Callable[..., Any], stopped: EngineStub, options: Options
) -> None:
    _prove(worker_rows, stopped, options)


@pytest.mark.parametrize("database_server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("options", [one for one in ENCODINGS if one not in EVERYWHERE], ids=_name)
def test_an_owner_is_read_in_every_encoding(
    worker_rows: Callable[..., Any], stopped: EngineStub, options: Options
) -> None:
    _prove(worker_rows, stopped, options)


@pytest.mark.parametrize("database_server", ["postgresql"], indirect=True)
def test_verdicts_are_the_first_hundred(worker_rows: Callable[..., Any], stopped: EngineStub) -> None:
    left = worker_rows(**ENCODINGS[0])
    table = "django_celery_results_taskresult"
    columns = [name for (name,) in left.database.execute(
        f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}' "
        "AND column_name NOT IN ('id', 'task_id')"
    )]  # fmt: skip
    copied = ", ".join(columns)
    left.database.execute(
        f"INSERT INTO {table} (task_id, {copied}) SELECT 'copy-' || number, {copied} "
        f"FROM {table}, generate_series(1, 148) AS number WHERE task_id = '{left.ids.hanging}'"
    )
    done = engine.fail_zombies(left.database, RULES, Containers(stopped.docker, stopped.containers))
    assert (done["ended"], len(done["verdicts"]), len(done["rows"])) == (150, 100, 100)
    assert done["report"][-1] == "  The containers were asked about 150 records: 150 container_stopped"


def test_a_task_that_a_restarted_worker_takes_again_meanwhile_lives(
    worker_rows: Callable[..., Any], stopped: EngineStub
) -> None:
    """By a process of the same number in the container of the same name, so that its result is the same."""
    left = worker_rows(**ENCODINGS[0])
    table = "django_celery_results_taskresult"

    class Restarting(Containers):
        def verdict(self, owner: Owner, started: datetime | None) -> str:
            verdict: str = super().verdict(owner, started)
            now = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S.%f}"
            left.database.execute(f"UPDATE {table} SET date_done = '{now}' WHERE task_id = '{left.ids.hanging}'")
            return verdict

    engine.fail_zombies(left.database, RULES, Restarting(stopped.docker, stopped.containers))
    statuses = dict(left.database.execute(f"SELECT task_id, status FROM {table}"))
    assert statuses[left.ids.hanging] == "STARTED"
    assert statuses[left.ids.stuck_chord_hanging_member] == "FAILURE"
