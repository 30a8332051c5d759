# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The password of a deployment's database is on no command line and in no output."""

from __future__ import annotations

import threading
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from support.docker import ComposeProject, DockerRecorder
from support.running import run_module


class _CommandLines:
    """All command lines of this machine, read again and again."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            for process in psutil.process_iter(["cmdline"]):
                self.seen.add("\0".join(process.info["cmdline"] or ()))

    def __enter__(self) -> _CommandLines:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._done.set()
        self._thread.join()


@pytest.mark.parametrize("name", ["shop", "library", "reader"])
def test_no_command_line_has_the_password(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    project: ComposeProject = request.getfixturevalue(name)
    # Watching may miss a process that is soon over; what docker is asked is written down besides.
    recorder = DockerRecorder(tmp_path)
    compose = {"project_dir": str(project.folder), "docker_cli": str(recorder.path)}
    with _CommandLines() as lines:
        outputs = [
            run_module(module, {"compose": compose}, diff=True).output
            for module in ("deployment_info", "results_purge")
        ]
    calls = recorder.calls()
    assert any(call.startswith("inspect ") for call in calls)
    assert any("modules.results_purge" in line for line in lines.seen)
    for secret in (project.password, quote(project.password, safe="")):
        for place in (*calls, *lines.seen, *outputs):
            assert secret not in place
