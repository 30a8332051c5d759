# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of what `docker` says, where no engine of the tests' would say it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.application import (
    CeleryProcess,
    read_configuration,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.docker import Container, Docker
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import CleanupError

TOLD = {
    "result_expires": None, "result_backend": "redis", "expires_by_itself": True, "beat_scheduler": "",
    "timezone": "UTC",
}  # fmt: skip
WORKER = CeleryProcess(
    Container({"Id": "a" * 64, "Name": "/shop-celery_worker-1"}), "shop", frozenset({"worker"}), None, None, True
)


def _docker(folder: Path, said: bytes = b"", failed: str = "") -> Docker:
    """A command that says so, whatever it is asked."""
    (folder / "said").write_bytes(said)
    (folder / "failed").write_text(failed, encoding="utf-8")
    command = folder / "docker"
    command.write_text(
        f"#!/bin/sh\ncat {folder}/said\ncat {folder}/failed >&2\ntest ! -s {folder}/failed\n", encoding="utf-8"
    )
    command.chmod(0o755)
    return Docker(str(command))


def test_an_application_that_prints_in_another_encoding_is_understood(tmp_path: Path) -> None:
    docker = _docker(tmp_path, b"Caf\xe9 ready\nfleetops.celery:" + json.dumps(TOLD).encode() + b"\n")
    assert read_configuration(docker, WORKER).result_backend == "redis"
    assert docker.logs_since(WORKER.container, "2026-11-01T00:00:00Z").startswith("Caf")


@pytest.mark.parametrize(
    ("failed", "reached"),
    [
        ("Cannot connect to the Docker daemon at unix:///run/d.sock. Is the docker daemon running?", False),
        # As version 29 says it.
        (
            "failed to connect to the docker API at unix:///run/d.sock; check if the path is correct and if the daemon "
            "is running: dial unix /run/d.sock: connect: no such file or directory",
            False,
        ),
        ("kombu.exceptions.OperationalError: Cannot connect to amqp://rabbit:5672//", True),
    ],
)
def test_that_no_engine_is_reached_is_told_from_what_an_application_does_not_reach(
    tmp_path: Path, failed: str, reached: bool
) -> None:
    with pytest.raises(CleanupError) as raised:
        _docker(tmp_path, failed=failed).run_python(WORKER.container, "pass")
    assert ("reached no Docker engine" not in str(raised.value)) is reached
    assert ("Start the engine on that host." not in str(raised.value)) is reached


def test_an_application_that_cannot_be_asked_is_named(tmp_path: Path) -> None:
    failed = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'shop'"
    with pytest.raises(CleanupError, match=r"container shop-celery_worker-1 .*No module named 'shop'"):
        read_configuration(_docker(tmp_path, failed=failed), WORKER)
