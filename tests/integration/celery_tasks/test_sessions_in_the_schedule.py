# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the role beat_schedule has abandoned reading sessions closed without being told so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.running import PlaybookRun
from support.running.collection import CHECKOUT

_OWN = "close-abandoned-reading-sessions"
_SESSIONS = {"profile": "reading_sessions"}
_CLOSES = [{"name": "tidy", "task": "celery_maintenance.close_abandoned_sessions", "crontab": "0 * * * *"}]


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({}, ["maintenance-preview", "maintenance"]),
        ({"cleanup_tables": [{"table": "results"}]}, ["maintenance-preview", "maintenance"]),
        ({"cleanup_tables": [{"table": "results"}, _SESSIONS]}, ["maintenance-preview", "maintenance", _OWN]),
        (
            {"cleanup_tables": [{**_SESSIONS, "zombie_rules": []}]},
            ["maintenance-preview", "maintenance"],
        ),
        ({"cleanup_tables": [_SESSIONS], "beat_schedule_sessions": ""}, ["maintenance-preview", "maintenance"]),
        ({"cleanup_tables": [_SESSIONS], "beat_schedule_tasks": _CLOSES}, ["tidy"]),
    ],
    ids=["no-tables", "other-tables", "sessions", "no-rules", "switched-off", "own-entry"],
)
def test_it_is_there_where_the_tables_are(
    run_playbook: Callable[..., PlaybookRun], tmp_path: Path, variables: dict[str, Any], names: list[str]
) -> None:
    role = CHECKOUT / "roles" / "beat_schedule"
    show = "{{ _beat_schedule_tasks | map(attribute='name') | list | to_json }}"
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [str(role / "defaults" / "main.yml"), str(role / "vars" / "main.yml")],
        "tasks": [{"name": "Show", "ansible.builtin.debug": {"msg": show}}],
    }
    playbook = tmp_path / "show.yml"
    playbook.write_text(json.dumps([play]))
    run = run_playbook(playbook, None, {"celery_compose_project_dir": "/srv/reader", **variables})
    assert run.exit_code == 0, run.output
    (shown,) = (task["result"]["msg"] for task in run.tasks)
    assert (json.loads(shown) if isinstance(shown, str) else shown) == names
