# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual environments of the checkout."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import interpreters
import workspace
from interpreters import Interpreter
from steps import Log

# Pythons for the newest ansible-core; 3.14 last, because wheels of database drivers follow with some delay.
NEWEST = ("3.13", "3.12", "3.14")
OLDEST = ("3.11", "3.12", "3.13")

_MAIN = workspace.ROOT / ".venv"
_REQUIREMENTS = workspace.ROOT / "tests" / "requirements"


@dataclass(frozen=True)
class Environment:
    label: str
    path: Path
    pythons: tuple[str, ...]
    requirements: tuple[str, ...]

    def bin(self, name: str) -> str:
        return str(self.path / "bin" / name)

    @property
    def python(self) -> str:
        return self.bin("python")

    def prepare(self, log: Log) -> None:
        """Makes the environment, or leaves it alone when it is what the requirement files say."""
        workspace.BUILD.mkdir(exist_ok=True)
        with (workspace.BUILD / f"{self.path.name.strip('.')}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._prepare(log, interpreters.first(self.pythons))

    def _prepare(self, log: Log, interpreter: Interpreter) -> None:
        wanted = [_REQUIREMENTS / f"{name}.txt" for name in self.requirements]
        # Its own path too: programs in a virtual environment do not survive a move.
        base = f"{interpreter.version} {interpreter.path} {self.path}\n"
        stamp = self.path / ".stamp"
        have = stamp.read_text(encoding="utf-8") if stamp.exists() else ""
        marks = [f"{file.stem} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in wanted]
        if have.startswith(base) and all(mark in have.splitlines() for mark in marks):
            log.write(f"{self.path.name} is up to date (Python {interpreter.version})")
            return
        if not have.startswith(base):
            if self.path.exists():
                shutil.rmtree(self.path)
            self._call(log, [interpreter.path, "-m", "venv", self.path])
        stamp.unlink(missing_ok=True)
        arguments = [part for file in wanted for part in ("-r", file)]
        self._call(log, [self.python, "-m", "pip", "install", "--quiet", "--progress-bar=off", *arguments])
        stamp.write_text(base + "\n".join(marks) + "\n", encoding="utf-8")

    def environ(self, collections: Path, *, home: Path | None = None) -> dict[str, str]:
        """Variables for a command: this environment first, then interpreters that run, and no shims."""
        path = [str(self.path / "bin")]
        path += [str(interpreter.path.parent) for interpreter in interpreters.every()]
        path += [entry for entry in os.get_exec_path() if Path(entry).name != "shims"]
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANSIBLE_", "PYTHON")) and name != "VIRTUAL_ENV"
        }
        kept.update(
            ANSIBLE_COLLECTIONS_PATH=str(collections),
            ANSIBLE_LOCALHOST_WARNING="false",
            ANSIBLE_NOCOLOR="true",
            LC_ALL="C.UTF-8",
            NO_COLOR="1",
            PATH=os.pathsep.join(dict.fromkeys(path)),
            PYTHONDONTWRITEBYTECODE="1",
            PYTHONUNBUFFERED="1",
        )
        if home:
            # What a tool keeps or installs there is of no use to the user, and may shadow what is under test.
            home.mkdir(parents=True, exist_ok=True)
            kept["HOME"] = str(home)
        return kept

    def core(self, log: Log) -> str:
        """The version of ansible-core in here, as 2.21."""
        program = "import ansible.release; print(ansible.release.__version__)"
        done = log.run([self.python, "-c", program])
        if not done.ok:
            raise RuntimeError(f"{self.path.name} holds no ansible-core")
        return ".".join(done.output.strip().split(".")[:2])

    @staticmethod
    def _call(log: Log, command: Sequence[str | Path]) -> None:
        done = log.run(command)
        if not done.ok:
            raise RuntimeError((done.output.strip().splitlines() or ["failed without a word"])[-1])


def demo() -> Environment:
    """Enough for the demonstration."""
    return Environment("newest core", _MAIN, (*NEWEST, *OLDEST), ("core", "demo"))


def main() -> Environment:
    """The newest ansible-core that an interpreter here allows, with every tool."""
    return Environment("newest core", _MAIN, (*NEWEST, *OLDEST), ("core", "demo", "test", "lint"))


def bench() -> Environment:
    """The same, and what draws measurements."""
    return Environment("newest core", _MAIN, (*NEWEST, *OLDEST), (*main().requirements, "bench"))


def oldest() -> Environment:
    """The oldest supported ansible-core."""
    return Environment("oldest core", workspace.ROOT / ".venv-2.19", OLDEST, ("core-2.19",))


def cores() -> list[Environment]:
    """An environment for each ansible-core to test on: one, where no interpreter serves the newest."""
    try:
        interpreters.first(NEWEST)
    except interpreters.NoInterpreter:
        return [main()]
    try:
        interpreters.first(OLDEST)
    except interpreters.NoInterpreter:
        return [main()]
    return [main(), oldest()]
