# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running project as a host of an inventory, and a role that is applied to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ..running import PlaybookRun, run_playbook
from .images import Images
from .projects import ComposeProject, up

_PLAYBOOK = """\
---
- name: Apply the role
  hosts: all
  gather_facts: false
  roles: [{role}]
"""


@contextmanager
def without_root(name: str, images: Images) -> Iterator[ComposeProject]:
    """A project on PostgreSQL whose worker is not root, so that what it reads must be its own."""
    with up(f"{name}-{os.getpid()}", images, services=["db"], one_file=True) as project:
        path = project.folder / "compose.yml"
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["services"]["celery_worker"].update(user="1000:1000", tmpfs=["/run:uid=1000"])
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        project.start()
        yield project


class RoleHost:
    """Applies one role to the project, with whatever variables."""

    def __init__(self, project: ComposeProject, scratch: Path, role: str) -> None:
        self.project = project
        #: Where the roles put what is the deployment's own.
        self.folder = Path("/opt/fleetops-celery/deployments") / project.name
        self._playbook, self._inventory = scratch / "apply.yml", scratch / "hosts.json"
        self._playbook.write_text(_PLAYBOOK.format(role=role), encoding="utf-8")

    def run(self, *, check: bool = False, diff: bool = False, **variables: Any) -> PlaybookRun:
        host = {"ansible_connection": "local", "celery_compose_project_dir": str(self.project.folder), **variables}
        self._inventory.write_text(json.dumps({"all": {"hosts": {self.project.name: host}}}), encoding="utf-8")
        return run_playbook(self._playbook, self._inventory, check=check, diff=diff)

    def changed(self, **options: Any) -> int:
        """How many tasks changed something."""
        done = self.run(**options)
        assert done.exit_code == 0, done.output
        assert self.project.password not in done.output
        return done.recap[self.project.name]["changed"]

    def refused(self, words: str, **variables: Any) -> PlaybookRun:
        """See that the role fails with these words, tells no secret, and changes nothing."""
        before = self.files()
        done = self.run(**variables)
        assert done.exit_code == 2, done.output
        assert words in json.dumps([task["result"] for task in done.tasks]), done.output
        assert "very-secret" not in done.output
        assert self.files() == before
        return done

    @contextmanager
    def foreign_override_file(self) -> Iterator[None]:
        """While an override file is there that no role has written."""
        path = self.project.folder / "compose.override.yml"
        path.write_text("services: {}\n", encoding="utf-8")
        try:
            yield
        finally:
            path.unlink()

    def files(self) -> dict[str, Any]:
        """The files that a role touches: those of the project by their text, its own by their names."""
        return {
            "project": {path.name: path.read_text() for path in self.project.folder.glob("compose*")},
            "installed": sorted(str(path) for path in self.folder.rglob("*")) if self.folder.exists() else None,
        }
