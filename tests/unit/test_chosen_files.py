# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Compose finds the files of a project by itself, or has to be told them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.compose_files import chosen_options
from ansible_collections.fleetops.celery.plugins.module_utils._engine.docker import Container
from support.docker.engine_stub import describe


def _made(folder: Path, files: list[str], variables: str = "", created: str = "2026-11-01") -> Container:
    labels = {
        "project.working_dir": str(folder),
        "project.config_files": ",".join(str(folder / name) for name in files),
        "project.environment_file": variables,
    }
    return Container({**describe("a", **labels), "Created": created})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("compose.yml", "compose.override.yml", "prod.yml"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("files", [["compose.yml"], ["compose.yml", "compose.override.yml"], []])
def test_those_that_it_finds_are_not_named(folder: Path, files: list[str]) -> None:
    assert chosen_options([_made(folder, files)]) == []


def test_others_are_named_as_the_newest_container_has_them(folder: Path) -> None:
    old = _made(folder, ["compose.yml"])
    new = _made(folder, ["compose.yml", "prod.yml"], created="2026-11-02")
    named = ["--project-directory", str(folder), "--file", f"{folder}/compose.yml", "--file", f"{folder}/prod.yml"]
    assert chosen_options([old, new]) == chosen_options([new, old]) == named


def test_files_of_variables_are_named(folder: Path) -> None:
    options = chosen_options([_made(folder, ["compose.yml"], "/etc/a.env,/etc/b.env")])
    assert options[2:] == ["--file", f"{folder}/compose.yml", "--env-file", "/etc/a.env", "--env-file", "/etc/b.env"]


def test_those_that_the_folder_names_itself_are_found(folder: Path) -> None:
    (folder / ".env").write_text("COMPOSE_FILE='compose.yml:prod.yml'\n", encoding="utf-8")
    assert chosen_options([_made(folder, ["compose.yml", "prod.yml"])]) == []
    assert chosen_options([_made(folder, ["compose.override.yml"])]) != []
    (folder / ".env").write_text("COMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE=compose.yml;prod.yml\n", encoding="utf-8")
    assert chosen_options([_made(folder, ["compose.yml", "prod.yml"])]) == []


def test_a_folder_without_a_file_of_its_own_is_told_one(tmp_path: Path) -> None:
    assert chosen_options([_made(tmp_path, ["prod.yml"])])[2:] == ["--file", f"{tmp_path}/prod.yml"]
