# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time of one task: modules on a small table against `ansible.builtin.ping`, in a real `ansible-playbook`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from support.running import run_playbook
from support.servers import Database

PING = "ansible.builtin.ping"
INFO = "fleetops.celery.results_info"
PURGE = "fleetops.celery.results_purge"

#: The Python of the distribution, which takes its libraries from the distribution's packages.
_DISTRIBUTION = "/usr/bin/python3"
_LIBRARIES = """
import platform, psycopg2, sqlalchemy
print(f"Python {platform.python_version()}, SQLAlchemy {sqlalchemy.__version__}")
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that a host may run modules with: ``ansible_python_interpreter``."""

    path: str
    libraries: str


def interpreters() -> Iterator[Interpreter]:
    """Yield this Python, with the newest libraries, and the distribution's where it has what the modules need."""
    for path in dict.fromkeys((sys.executable, _DISTRIBUTION)):
        try:
            # In a clean environment, as Ansible would start it.
            asked = subprocess.run([path, "-c", _LIBRARIES], capture_output=True, text=True, check=False, env={})
        except OSError:
            continue
        if asked.returncode == 0:
            yield Interpreter(path, asked.stdout.strip())


def measure(database: Database, times: int, pipelining: bool, interpreter: Interpreter) -> dict[str, float]:
    """Return the median seconds of a task of each module, *times* one after the other in turn.

    The first of each, which fills Ansible's own caches, does not count.
    """
    tasks: list[dict[str, Any]] = [
        {PING: {}},
        {INFO: {"database_url": "{{ url }}"}},
        {PURGE: {"database_url": "{{ url }}", "rules": [{"older_than": "9999d"}]}},
    ]
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": interpreter.path},
        "tasks": tasks * (times + 1),
    }
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
        playbook = Path(folder, "tasks.yml")
        playbook.write_text(json.dumps([play]))
        run = run_playbook(playbook, extra_vars={"url": database.url}, env={"ANSIBLE_PIPELINING": str(pipelining)})
    if run.exit_code != 0:
        raise RuntimeError(f"the playbook failed: {run.output}")
    return {
        action: median([task["seconds"] for task in run.tasks if task["action"] == action][1:])
        for action in (PING, INFO, PURGE)
    }
