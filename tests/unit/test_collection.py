# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's own metadata agrees with what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


def _load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_action_group_holds_every_module_that_opens_a_database() -> None:
    fragment = "- fleetops.celery._database"
    modules = {file.stem for file in ROOT.glob("plugins/modules/*.py") if fragment in file.read_text(encoding="utf-8")}
    assert set(_load("meta/runtime.yml")["action_groups"]["all"]) == modules


def test_every_playbook_can_be_pointed_at_some_hosts() -> None:
    for file in ROOT.glob("playbooks/*.yml"):
        for play in yaml.safe_load(file.read_text(encoding="utf-8")):
            assert "import_playbook" in play or play["hosts"] == "{{ celery_hosts | default('all') }}", file.name


def test_every_role_has_what_a_role_needs() -> None:
    for role in ROOT.glob("roles/*/"):
        for name in ("README.md", "meta/main.yml", "meta/argument_specs.yml", "defaults/main.yml", "tasks/main.yml"):
            assert (role / name).is_file(), f"{role.name} lacks {name}"
