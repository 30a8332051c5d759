# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maintenance package: made on the controller, the same each time, and never in place of another file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import provide
from support.hosts import NEWEST_HOST, OLDEST_HOST, with_libraries
from support.running import run_through_ansible

_ENGINE = "celery_maintenance.engine"


def _run(python: Path | None = None, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
    """Run the module, under another interpreter if need be."""
    env = {"ANSIBLE_PYTHON_INTERPRETER": str(python)} if python else None
    result, run = run_through_ansible("maintenance_package", options, check=check, diff=diff, env=env)
    assert run.tasks[-1]["outcome"] == "ok", result
    return result


def _failure(**options: Any) -> str:
    result, run = run_through_ansible("maintenance_package", options)
    assert run.tasks[-1]["outcome"] == "failed", result
    return str(result["msg"])


def _import(package: str | Path, program: str, python: str | Path = sys.executable) -> str:
    done = subprocess.run(
        [python, "-c", program],
        env={"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_comes_once_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "celery-cleanup"
    planned = _run(path=str(path), check=True, diff=True)
    assert planned["changed"]
    assert planned["diff"]["before"] == ""
    assert not path.parent.exists()

    made = _run(path=str(path), diff=True)
    assert made["changed"]
    assert {key: made[key] for key in ("sha256", "version", "size_bytes", "diff")} == {
        key: planned[key] for key in ("sha256", "version", "size_bytes", "diff")
    }
    assert made["size_bytes"] == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o755

    assert not _run(path=str(path), check=True)["changed"]
    again = _run(path=str(path), diff=True)
    assert not again["changed"]
    assert again["diff"]["before"] == again["diff"]["after"]

    path.chmod(0o600)
    assert _run(path=str(path), check=True)["changed"]
    assert _run(path=str(path))["changed"]
    assert path.stat().st_mode & 0o777 == 0o755

    assert _run(path=str(path), state="absent", check=True)["changed"]
    assert path.exists()
    assert _run(path=str(path), state="absent")["changed"]
    assert not path.exists()
    assert not _run(path=str(path), state="absent")["changed"]


def test_what_was_changed_by_hand_is_put_right(tmp_path: Path) -> None:
    path = tmp_path / "celery-cleanup"
    made = _run(path=str(path))
    path.write_bytes(path.read_bytes().replace(b"import sys", b"import os ", 1))
    assert _run(path=str(path))["sha256"] == made["sha256"]
    result, _task = run_through_ansible("maintenance_package", {"path": str(path), "python": "/usr/bin/python3"})
    assert result["changed"]
    assert path.read_bytes().startswith(b"#!/usr/bin/python3 -Es\n")


def test_python_imports_the_engine_from_it(tmp_path: Path) -> None:
    path = tmp_path / "package.pyz"
    _run(path=str(path))
    program = f"from {_ENGINE}.policy import parse_policy; import {_ENGINE} as engine; print(engine.__file__)"
    assert _import(path, program).startswith(str(path))


@pytest.mark.parametrize("host", [OLDEST_HOST, NEWEST_HOST], ids=["oldest", "newest"])
def test_it_brings_libraries_for_interpreters_that_have_none(tmp_path: Path, host: Any) -> None:
    python = provide(lambda: with_libraries(host))
    path = tmp_path / "package.pyz"
    made = _run(python, path=str(path), libraries=True)
    assert not _run(python, path=str(path), libraries=True)["changed"]
    assert made["sha256"] != _run(python, path=str(path), check=True)["sha256"]
    # Only what is in the package can be imported: without site-packages, which have a SQLAlchemy of their own.
    program = (
        f"import sys; sys.path[:] = [one for one in sys.path if 'site-packages' not in one] + ['{path}/libraries'];"
        f"from {_ENGINE}.database import Database; from {_ENGINE}.libraries import sa;"
        "database = Database('sqlite:///');"
        "print(sa.__file__)"
    ).replace("$tmp", str(tmp_path / "none.sqlite"))
    assert _import(path, program, python).startswith(f"{path}/libraries/sqlalchemy/")


@pytest.mark.parametrize("state", ["present", "absent"])
def test_another_file_is_left_alone(tmp_path: Path, state: str) -> None:
    path = tmp_path / "celery-cleanup"
    path.write_text("#!/bin/sh\necho mine\n")
    assert "is no package of this collection" in _failure(path=str(path), state=state)
    assert path.read_text() == "#!/bin/sh\necho mine\n"


@pytest.mark.parametrize("python", ["python3", "/opt/my python/bin/python", "/" + "long/" * 30 + "python"])
def test_an_interpreter_that_no_program_can_name(tmp_path: Path, python: str) -> None:
    assert "python:" in _failure(path=str(tmp_path / "package"), python=python)
    assert not (tmp_path / "package").exists()


def test_where_it_cannot_go(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in _failure(path=str(tmp_path / "file" / "package"))
    assert f"{tmp_path} cannot be read: Is a directory." in _failure(path=str(tmp_path))


def test_without_its_action_plugin(run_module: Any, tmp_path: Path) -> None:
    failed = run_module("maintenance_package", {"path": str(tmp_path / "package")})
    assert failed["failed"]
    assert "comes from the controller" in failed["msg"]
    assert os.listdir(tmp_path) == []
