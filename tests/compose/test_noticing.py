# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a running beat took notice of a change: what its log can tell, and what it cannot."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.docker import ComposeProject, DockerRecorder, Images, up
from support.running import ModuleRun, run_module

STATES = itertools.cycle(["present", "disabled"])


@pytest.fixture(scope="module")
def gallery(images: Images) -> Iterator[ComposeProject]:
    with up(f"gallery-{os.getpid()}", images, services=["celery_worker"]) as project:
        yield project


def _start_beat(project: ComposeProject, options: str, **service: Any) -> None:
    path = project.folder / "compose.yml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    command = f"celery -A shop beat --scheduler django_celery_beat.schedulers:DatabaseScheduler {options}"
    document["services"]["celery_beat"].update(service, command=command)
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    project.compose("up", "--detach", "--wait", "--timeout=1", "celery_beat")


def _change(project: ComposeProject, **compose: str) -> ModuleRun:
    options = {"compose": {"project_dir": str(project.folder), **compose}, "state": next(STATES), "wait": True}
    done = run_module("backend_cleanup", options)
    assert (done.get("failed"), done["changed"], done["beat_notified"]) == (None, True, True), done
    return done


def test_no_beat_runs(gallery: ComposeProject) -> None:
    done = _change(gallery)
    assert done["beat_noticed"] is None
    assert "No container of the project runs beat" in str(done["warnings"])


def test_a_beat_that_does_not_say_so_is_not_waited_for(gallery: ComposeProject, tmp_path: Path) -> None:
    """Celery's own log level is WARNING."""
    _start_beat(gallery, "")
    recorder = DockerRecorder(tmp_path)
    done = _change(gallery, docker_cli=str(recorder.path))
    assert not any(call.startswith("logs ") for call in recorder.calls())
    assert done["beat_noticed"] is None
    assert "does not show what it says at level INFO" in str(done["warnings"])
    assert "--loglevel info" in str(done["warnings"])


def test_a_beat_that_looks_less_often_is_waited_for_longer(gallery: ComposeProject) -> None:
    _start_beat(gallery, "-l info --max-interval=18")
    # Beat has just looked when it says so, and does again 18 seconds later.
    for _number in range(2):
        done = _change(gallery)
        assert (done["beat_noticed"], done.get("warnings")) == (True, None)


def test_a_log_that_cannot_be_read_fails_nothing(gallery: ComposeProject) -> None:
    _start_beat(gallery, "-l info", logging={"driver": "none"})
    done = _change(gallery)
    assert done["beat_noticed"] is None
    assert "Beat's log cannot be read" in str(done["warnings"])
