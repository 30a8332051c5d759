# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers of a project are the application's, from what `docker inspect` says of them."""

from __future__ import annotations

import json
import shlex

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.application import (
    SIDECAR,
    application_services,
    celery_processes,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.docker import SERVICE_LABEL, Container
from ansible_collections.fleetops.celery.plugins.module_utils._engine.examine_project import list_services
from ansible_collections.fleetops.celery.plugins.module_utils._engine.maintenance_schedule import Schedule
from ansible_collections.fleetops.celery.plugins.module_utils._engine.maintenance_services import Sources, sidecar_tasks
from ansible_collections.fleetops.celery.plugins.module_utils._engine.maintenance_services import sidecar as new_sidecar

RUN_POLICY = {"name": "tidy", "task": "celery_maintenance.run_policy", "crontab": "0 2 * * *", "kwargs": {}}


def container(
    service: str, command: str = "sleep", image: str = "shop", state: str = "running", env: str = "", one_off: str = ""
) -> Container:
    path, *arguments = shlex.split(command)
    labels = {SERVICE_LABEL: service, "com.docker.compose.oneoff": one_off or "False"}
    config = {"Labels": labels, "Image": image, "Env": [env] if env else []}
    return Container({"Id": service, "Path": path, "Args": arguments, "Config": config, "State": {"Status": state}})


def sidecar(settings: str, state: str = "running") -> Container:
    return container(SIDECAR, "celery -A x worker --beat", state=state, env=f"CELERY_MAINTENANCE_SIDECAR={settings}")


PROJECT = [
    container("worker", "/venv/bin/celery -A shop worker"),
    container("both", "celery -A shop worker -B", image="shop:2"),
    container("script", "/start-worker", image="shop:3"),
    container("web", "gunicorn shop"),
    container("once", "python manage.py migrate", state="exited"),
    container("db", "postgres", image="postgres:18"),
    container("shell", "celery -A shop worker", one_off="True"),
    sidecar("{}"),
]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, {"worker": {"worker"}, "both": {"worker", "beat"}}),
        ({"worker_service": "script"}, {"script": {"worker"}, "both": {"beat"}}),
        ({"beat_service": "script"}, {"worker": {"worker"}, "both": {"worker"}, "script": {"beat"}}),
        ({"worker_service": "script", "beat_service": "script"}, {"script": {"worker", "beat"}}),
    ],
)
def test_the_command_tells_the_roles_or_a_name_does(named: dict[str, str], expected: dict[str, set[str]]) -> None:
    assert {one.container.service: set(one.roles) for one in celery_processes(PROJECT, **named)} == expected


def test_what_compose_runs_once_is_listed_without_a_role() -> None:
    """As `docker compose run db pg_dump` starts it: with the image, the variables and the labels of the service."""
    once = container("db", "pg_dump", image="postgres:18", one_off="True")
    listed = list_services([*PROJECT, once], celery_processes(PROJECT))
    assert [one.roles for one in listed if one.service == "db"] == [["database"], []]
    assert [one.roles for one in listed if one.service == "shell"] == [[]]


def test_what_runs_from_the_image_of_a_worker_is_the_application() -> None:
    processes = celery_processes(PROJECT)
    assert application_services(PROJECT, processes) == {"worker", "both", "web"}
    assert application_services(PROJECT, [one for one in processes if one.container.service == "both"]) == {"both"}


@pytest.mark.parametrize(
    ("command", "roles"),
    [
        ("celery -A worker beat", {"beat"}),
        ("celery --app worker beat", {"beat"}),
        ("celery --app=beat -q worker -n beat@%h -Q beat", {"worker"}),
        ("python -m celery -Abeat -b redis://beat worker", {"worker"}),
        ("celery worker -A shop --beat", {"worker", "beat"}),
        ("sh -c 'celery -A shop worker & exec celery -A shop beat'", {"worker", "beat"}),
        ("celery -A shop flower", set()),
        ("beat worker", set()),
    ],
)
def test_the_subcommand_tells_the_role_and_no_value_of_an_option_does(command: str, roles: set[str]) -> None:
    found = celery_processes([container("one", command)])
    assert [set(one.roles) for one in found] == ([roles] if roles else [])


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("", False),
        ("-l info", True),
        ("-linfo", True),
        ("--loglevel=DEBUG", True),
        ("--loglevel $LEVEL", True),
        ("--loglevel error", False),
        ("-l info -f /var/log/beat.log", False),
        ("-l info --logfile=/var/log/beat.log", False),
    ],
)
def test_beat_says_that_it_took_notice_at_level_info_only(options: str, shown: bool) -> None:
    (beat,) = celery_processes([container("beat", f"sh -c 'rm -f beat.pid && celery -A shop beat {options}'")])
    assert beat.shows_info is shown
    assert beat.beat_interval is None


@pytest.mark.parametrize("option", ["--max-interval 60", "--max-interval=60"])
def test_beat_may_look_at_its_schedule_less_often(option: str) -> None:
    (beat,) = celery_processes([container("beat", f"celery -A shop beat {option}")])
    assert beat.beat_interval == 60


@pytest.mark.parametrize("settings", ["", "{", "[]", "{}", '{"schedule": [{}]}', '{"schedule": 5}'])
def test_a_service_of_somebody_else_by_that_name_schedules_nothing(settings: str) -> None:
    assert sidecar_tasks([sidecar(settings)]) == set()


def test_a_sidecar_that_runs_tells_what_it_schedules() -> None:
    settings = json.dumps({"schedule": [RUN_POLICY]})
    assert sidecar_tasks([*PROJECT[:-1], sidecar(settings)]) == {"celery_maintenance.run_policy"}
    assert sidecar_tasks([sidecar(settings, state="exited")]) == set()


@pytest.mark.parametrize(
    ("options", "queues"),
    [
        ("-Q light,heavy", {"light", "heavy"}),
        ("--queues=light", {"light"}),
        ("-Qlight", {"light"}),
        ("--concurrency 2", set()),
    ],
)
def test_a_command_may_tell_the_queues(options: str, queues: set[str]) -> None:
    (process,) = celery_processes([container("worker", f"celery -A shop worker {options}")])
    assert process.queues == queues


@pytest.mark.parametrize(
    ("command", "begins"),
    [
        ("celery -A shop worker", ["celery", "--app"]),
        ("/venv/bin/celery --workdir /srv/src -A shop worker", ["/venv/bin/celery", "--workdir", "/srv/src", "--app"]),
    ],
)
def test_the_sidecar_goes_where_the_worker_goes(command: str, begins: list[str]) -> None:
    """From there it imports the application, which tells its broker."""
    (worker,) = celery_processes([container("worker", command)])
    sources = Sources("/opt/x/maintenance.pyz", "/opt/x/plugin", "/opt/x/policy")
    service = new_sidecar(worker, "shop", "compose.yml", Schedule((), "UTC"), sources)[SIDECAR]
    assert service["command"][: len(begins)] == begins
