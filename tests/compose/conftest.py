# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three Compose projects on one host, brought up once for all tests: each takes half a minute."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import docker_engine
import pytest
from support.cron import cron
from support.docker import ComposeProject, Images, provide_images, up
from support.missing import MissingPart

Part = TypeVar("Part")


def _or_skip(make: Callable[[], Part]) -> Part:
    """A person may lack Docker, the pipeline may not."""
    try:
        return make()
    except (MissingPart, docker_engine.NoDocker) as missing:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(f"missing in CI: {missing}", pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def images() -> Images:
    _or_skip(docker_engine.start)
    return _or_skip(provide_images)


@pytest.fixture
def have_cron_run() -> Iterator[Callable[[Path], None]]:
    """`have_cron_run(folder)`: a real cron runs the entries in the folder, until the end of the test."""
    with ExitStack() as stack:
        yield lambda folder: _or_skip(lambda: stack.enter_context(cron(folder)))


def _name(name: str) -> str:
    """Two runs of the tests may share an engine."""
    return f"{name}-{os.getpid()}"


@pytest.fixture(scope="session")
def shop(images: Images) -> Iterator[ComposeProject]:
    """PostgreSQL on a published port, with its password in the container's environment; two workers."""
    with up(_name("shop"), images, workers=2) as project:
        yield project


@pytest.fixture(scope="session")
def library(images: Images) -> Iterator[ComposeProject]:
    """MariaDB at its container's address, with its password in a secret file; renamed, as by `docker compose -p`."""
    name = _name("books")
    with up(
        name, images, database="mariadb", published_port=False, credentials="files", services=["celery_worker"],
        folder_name="library",
    ) as project:  # fmt: skip
        yield project


@pytest.fixture(scope="session")
def reader(images: Images) -> Iterator[ComposeProject]:
    """PostgreSQL whose password only the application knows; started in a folder that is a symbolic link."""
    with up(
        _name("reader"), images, published_port=False, credentials="application", services=["backend"], linked=True
    ) as project:
        yield project
