# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time of one task: modules on a small table against `ansible.builtin.ping`, in a real `ansible-playbook`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from support.running import run_playbook
from support.servers import Database

PING = "ansible.builtin.ping"
INFO = "fleetops.celery.results_info"
PURGE = "fleetops.celery.results_purge"


def measure(database: Database, times: int, pipelining: bool) -> dict[str, float]:
    """Return the median seconds of a task of each module, *times* one after the other in turn.

    The first of each, which fills Ansible's own caches, does not count.
    """
    tasks: list[dict[str, Any]] = [
        {PING: {}},
        {INFO: {"database_url": "{{ url }}"}},
        {PURGE: {"database_url": "{{ url }}", "rules": [{"older_than": "9999d"}]}},
    ]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks * (times + 1)}
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
