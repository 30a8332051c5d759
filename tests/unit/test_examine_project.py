# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found in a project's containers, and in what its application says of itself."""

from __future__ import annotations

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.application import Configuration, celery_processes
from ansible_collections.fleetops.celery.plugins.module_utils._engine.docker import Container
from ansible_collections.fleetops.celery.plugins.module_utils._engine.examine_project import (
    examine_configuration,
    examine_processes,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.findings import Finding
from support.docker.engine_stub import describe


def _container(service: str, command: str, state: str = "running") -> Container:
    return Container(describe(service, state=state, command=command.split(), service=service))


WORKER = _container("worker", "celery -A shop worker")
BEAT = _container("beat", "celery -A shop beat")


def _found(*containers: Container) -> list[Finding]:
    return list(examine_processes(celery_processes(containers)))


@pytest.mark.parametrize("state", ["exited", "restarting", "created"])
def test_a_worker_that_does_not_run_beside_one_that_does_is_found(state: str) -> None:
    """It may be the only one that takes the tasks of its queue."""
    light = _container("light", "celery -A shop worker -Q light", state)
    (found,) = _found(WORKER, BEAT, light)
    assert (found.severity, found.code) == ("warning", "worker_stopped")
    assert f"shop-light-1 is {state}" in found.message
    assert "shop-worker-1" not in found.message
    assert found.fix.startswith("docker compose up -d light,")


def test_a_second_beat_that_does_not_run_is_no_finding() -> None:
    """There may be one only."""
    assert _found(WORKER, BEAT, _container("old", "celery -A shop beat", "exited")) == []


def test_what_no_command_tells_can_be_named() -> None:
    scripts = _container("one", "/start-worker"), _container("two", "/start-beat")
    assert {found.code: found.fix.partition("name it in ")[2] for found in _found(*scripts)} == {
        "worker_not_running": "celery_worker_service where its command does not tell.",
        "beat_not_running": "celery_beat_service where its command does not tell.",
    }


@pytest.mark.parametrize(
    ("backend", "found"),
    [
        ("redis", True),
        ("redis+socket", True),
        ("rediss", True),
        ("cache+memcached", True),
        ("db+postgresql", False),
        ("django-db", False),
    ],
)
def test_results_that_nothing_lets_expire_are_found_however_their_server_is_reached(backend: str, found: bool) -> None:
    codes = [one.code for one in examine_configuration([], Configuration(None, backend, True, "", "UTC"))]
    assert codes == (["results_never_expire"] if found else [])
