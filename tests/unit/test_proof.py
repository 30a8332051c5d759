# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers prove where several have one name, and where the project's are not all that there are."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.owners import Owner
from ansible_collections.fleetops.celery.plugins.module_utils._engine.proof import Containers
from support.docker.engine_stub import EngineStub, describe

PID = 17
STARTED = datetime(2026, 11, 20, tzinfo=timezone.utc)
FIRST, SECOND = "a" * 64, "b" * 64
LATER = "2026-11-21T00:00:00Z"


def _verdict(engine: EngineStub, host: str, started: datetime | None = STARTED, known: int | None = None) -> str:
    """:param known: how many of the engine's containers were of the project when it was looked at"""
    return Containers(engine.docker, engine.containers[:known]).verdict(Owner(PID, host), started)


def _verbs(engine: EngineStub) -> list[str]:
    return [call.split()[0] for call in engine.asked()]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("other", "in_other", "verdict"),
    [
        ("running", [1, PID], "alive"),
        ("running", [1], "process_gone"),
        ("running", None, "unknown"),
        ("paused", None, "unknown"),
        ("exited", None, "process_gone"),
    ],
)
def test_of_several_with_one_name_one_that_lives_is_enough(
    tmp_path: Path, order: int, other: str, in_other: list[int] | None, verdict: str
) -> None:
    processes = {FIRST: [1]} if in_other is None else {FIRST: [1], SECOND: in_other}
    both = [describe(FIRST, "worker"), describe(SECOND, "worker", state=other)]
    engine = EngineStub(tmp_path, *both[::order], processes=processes)
    assert _verdict(engine, "worker") == verdict


def test_one_that_lives_is_known_without_a_second_look(tmp_path: Path) -> None:
    engine = EngineStub(tmp_path, describe(FIRST, "worker"), processes={FIRST: [PID]})
    assert _verdict(engine, "worker") == "alive"
    assert _verbs(engine) == ["exec"]


def test_a_name_that_an_identifier_begins_with_is_no_identifier(tmp_path: Path) -> None:
    engine = EngineStub(tmp_path, describe("cafe" + FIRST[4:], "worker"), processes={"cafe" + FIRST[4:]: [1]})
    assert _verdict(engine, "cafe") == "unknown"
    assert _verdict(engine, "cafe" + FIRST[4:12]) == "process_gone"


@pytest.mark.parametrize("project", ["library", "", "shop"])
def test_a_worker_that_runs_beside_the_project_lives(tmp_path: Path, project: str) -> None:
    """In another project, by `docker run`, or in a container that was not there when the project was looked at."""
    engine = EngineStub(
        tmp_path, describe(FIRST, FIRST[:12]), describe(SECOND, SECOND[:12], project=project),
        processes={FIRST: [1], SECOND: [1, PID]},
    )  # fmt: skip
    assert _verdict(engine, SECOND[:12], known=1) == "alive"
    assert _verbs(engine) == ["ps", "inspect", "exec"]
    assert _verdict(engine, "c" * 12, known=1) == "container_gone"


def test_one_that_shares_the_network_of_another_project_s_lives(tmp_path: Path) -> None:
    engine = EngineStub(
        tmp_path, describe(FIRST, FIRST[:12]), describe(SECOND, FIRST[:12]), processes={FIRST: [1], SECOND: [PID]}
    )
    assert _verdict(engine, FIRST[:12], known=0) == "alive"


def test_a_chosen_name_is_not_looked_for_in_other_projects(tmp_path: Path) -> None:
    engine = EngineStub(
        tmp_path, describe(FIRST, "worker", started=LATER), describe(SECOND, "worker", project="library"),
        processes={FIRST: [PID], SECOND: [PID]},
    )  # fmt: skip
    assert _verdict(engine, "worker", known=1) == "container_restarted"


def test_a_container_that_was_started_again_since_it_was_looked_at_is_not_stopped(tmp_path: Path) -> None:
    engine = EngineStub(tmp_path, describe(FIRST, "worker", started="2026-11-19T00:00:00Z"), processes={FIRST: [PID]})
    (before,) = EngineStub(_folder(tmp_path), describe(FIRST, "worker", state="exited")).containers
    assert Containers(engine.docker, [before]).verdict(Owner(PID, "worker"), STARTED) == "alive"


def test_nobody_is_dead_where_the_engine_does_not_answer_again(tmp_path: Path) -> None:
    engine = EngineStub(tmp_path, describe(FIRST, "worker", state="exited"))
    (tmp_path / "descriptions").unlink()
    assert [_verdict(engine, host) for host in ("worker", FIRST[:12], "c" * 12)] == ["unknown"] * 3


def _folder(parent: Path) -> Path:
    folder = parent / "before"
    folder.mkdir()
    return folder
