# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python interpreters that really run, found by running them.

A name on PATH proves little: a version manager's shim answers for versions that are not selected and then fails,
and a distribution may ship an interpreter that can't make virtual environments.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROBE = "import sys, ensurepip, sqlite3, ssl, venv; print(*sys.version_info[:2], sys._base_executable)"
_MINORS = range(9, 15)


@dataclass(frozen=True)
class Interpreter:
    version: str
    path: Path


class NoInterpreter(Exception):
    """No usable interpreter of the wanted versions; the text says what was tried."""


def _manager_roots() -> Iterator[Path]:
    """Where pyenv keeps its versions, whatever HOME says."""
    if os.environ.get("PYENV_ROOT"):
        yield Path(os.environ["PYENV_ROOT"])
    for entry in os.get_exec_path():
        if Path(entry).name == "shims":
            yield from Path(entry).parents
    yield Path.home() / ".pyenv"


def _folders() -> Iterator[Path]:
    yield Path(getattr(sys, "_base_executable", sys.executable)).parent
    for entry in os.get_exec_path():
        if Path(entry).name != "shims":
            yield Path(entry)
    for root in _manager_roots():
        # 3.13.1 before 3.13.0, and 3.13.10 before both.
        yield from sorted(root.glob("versions/3.*/bin"), key=_numbers, reverse=True)


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.parent.name)]


def probe(candidate: Path) -> Interpreter | str:
    """The interpreter behind a file, or why it is of no use."""
    try:
        done = subprocess.run(
            [candidate, "-c", _PROBE], capture_output=True, text=True, timeout=30, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no output"])[-1]
    major, minor, path = done.stdout.strip().split(" ", 2)
    return Interpreter(f"{major}.{minor}", Path(path))


@cache
def _find(version: str) -> tuple[Interpreter | None, tuple[str, ...]]:
    reasons: list[str] = []
    for folder in dict.fromkeys(_folders()):
        candidate = folder / f"python{version}"
        if not candidate.exists():
            continue
        found = probe(candidate)
        if isinstance(found, Interpreter) and found.version == version:
            return found, ()
        reasons.append(f"{candidate}: {found if isinstance(found, str) else 'is Python ' + found.version}")
    return None, tuple(reasons)


def first(versions: Sequence[str]) -> Interpreter:
    """The first usable interpreter, in the order of the versions."""
    reasons: list[str] = []
    for version in versions:
        found, why = _find(version)
        if found:
            return found
        reasons.extend(why or [f"python{version}: not found"])
    raise NoInterpreter("\n".join(["no usable Python among " + ", ".join(versions), *reasons]))


def every() -> list[Interpreter]:
    """Every version of Python that the collection may meet and that is here."""
    found = (_find(f"3.{minor}")[0] for minor in _MINORS)
    return [interpreter for interpreter in found if interpreter]
