# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a real `ansible-playbook`, and taking what each task returned from a callback plugin."""

from __future__ import annotations

import errno
import json
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from .collection import BUILD, clean_environment, link_checkout

CALLBACKS = Path(__file__).with_name("callback_plugins")


@dataclass(frozen=True)
class PlaybookRun:
    exit_code: int
    output: str
    """All that was printed, in the order of printing."""
    tasks: list[dict[str, Any]]
    """One {host, task, action, outcome, seconds, result} for each task that ended on a host, in order."""
    recap: dict[str, dict[str, int]]
    """By host: ok, changed, failures, unreachable, skipped, rescued, ignored."""

    def results(self, action: str, host: str | None = None) -> list[dict[str, Any]]:
        """What a module returned each time that it ran, by its name with or without `fleetops.celery.`."""
        names = (action, f"fleetops.celery.{action}")
        return [task["result"] for task in self.tasks if task["action"] in names and host in (None, task["host"])]


def run_playbook(
    playbook: str | Path,
    inventory: str | Path = "localhost,",
    extra_vars: Mapping[str, Any] | None = None,
    check: bool = False,
    diff: bool = False,
    env: dict[str, str] | None = None,
    verbosity: int = 0,
    options: Sequence[str] = (),
    echo: bool = False,
    terminal: bool = False,
) -> PlaybookRun:
    """Run it to its end; `echo` prints what it says meanwhile, `terminal` lets it talk to a terminal.

    `extra_vars` go through a private file, as they may hold secrets and a command line is public.
    """
    with tempfile.TemporaryDirectory(prefix="fleet-play-") as folder:
        record = Path(folder, "record.jsonl")
        Path(folder, "ansible.cfg").touch()
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(playbook), *options]
        command += ["--check"] * check + ["--diff"] * diff
        command += [f"-{'v' * verbosity}"] * (verbosity > 0)
        if extra_vars:
            variables = Path(folder, "extra.json")
            variables.write_text(json.dumps(extra_vars))
            command += ["--extra-vars", f"@{variables}"]
        reading, writing = pty.openpty() if terminal else os.pipe()
        process = subprocess.Popen(
            command,
            env=clean_environment({**_settings(record), **(env or {})}),
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
        )
        os.close(writing)
        output = []
        with process, open(reading, encoding="utf-8") as stream:
            for line in _lines(stream):
                output.append(line)
                if echo:
                    print(line, end="", flush=True)
        lines = record.read_text().splitlines() if record.exists() else []
    records = [json.loads(line) for line in lines]
    return PlaybookRun(
        exit_code=process.returncode,
        output="".join(output),
        tasks=[entry for entry in records if "task" in entry],
        recap=next((entry["recap"] for entry in records if "recap" in entry), {}),
    )


def _lines(stream: TextIO) -> Iterator[str]:
    try:
        yield from stream
    except OSError as error:
        # So a terminal ends that nobody has open at its other end.
        if error.errno != errno.EIO:
            raise


def _settings(record: Path) -> dict[str, str]:
    return {
        # Neither the person's configuration nor their collections take part.
        "ANSIBLE_CONFIG": str(record.with_name("ansible.cfg")),
        "ANSIBLE_HOME": str(BUILD / "ansible-home"),
        "ANSIBLE_REMOTE_TEMP": str(BUILD / "ansible-home" / "remote"),
        # Absolute: where HOME is not that of the password file, Ansible puts its jobs into one and looks in the other.
        "ANSIBLE_ASYNC_DIR": str(BUILD / "ansible-home" / "async"),
        "ANSIBLE_COLLECTIONS_PATH": str(link_checkout()),
        "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false",
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "record_results",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "FLEETOPS_RECORD": str(record),
    }


def run_through_ansible(
    name: str,
    args: Mapping[str, Any],
    check: bool = False,
    diff: bool = False,
    env: dict[str, str] | None = None,
    verbosity: int = 0,
) -> tuple[dict[str, Any], PlaybookRun]:
    """Run one module as a task on localhost: packed, sent, and with its action plugin. Its result, and the run."""
    task = {"name": name, f"fleetops.celery.{name}": _Literal(args), "ignore_errors": True}
    with tempfile.TemporaryDirectory(prefix="fleet-task-") as folder:
        playbook = Path(folder, "task.yml")
        playbook.write_text(
            _yaml([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}])
        )
        run = run_playbook(playbook, check=check, diff=diff, env=env, verbosity=verbosity)
    if not run.tasks:
        raise AssertionError(f"the task did not run:\n{run.output}")
    return run.tasks[-1]["result"], run


@dataclass(frozen=True)
class _Literal:
    """A value in which braces are text and no template."""

    value: Any


def _yaml(value: Any, literal: bool = False) -> str:
    """YAML in one line. JSON would do, had it a way to say that a text is no template."""
    if isinstance(value, _Literal):
        return _yaml(value.value, literal=True)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {_yaml(item, literal)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_yaml(item, literal) for item in value) + "]"
    return ("!unsafe " if literal and isinstance(value, str) else "") + json.dumps(value)
