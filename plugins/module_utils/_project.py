# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules share that add to a Compose project.

It is **private** to the collection: it can change at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ._engine.compose import Project
from ._engine.errors import CleanupError

Specification = dict[str, Any]

PROJECT: Specification = {
    "compose": {
        "type": "dict",
        "options": {
            "project_dir": {"type": "path", "required": True},
            "project_name": {"type": "str"},
            "database_service": {"type": "str"},
            "app_service": {"type": "str"},
            "docker_cli": {"type": "path"},
        },
    },
    "database_url": {"type": "str", "no_log": True},
}
_NEEDED = {"type": "str", "required": True}
SCHEDULE: Specification = {
    "schedule": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"name": _NEEDED, "task": _NEEDED, "crontab": _NEEDED, "kwargs": {"type": "dict"}},
    },
    "timezone": {"type": "str", "default": "UTC"},
    "queue": {"type": "str"},
    "priority": {"type": "int"},
}
_PLAN: Specification = {
    **PROJECT,
    "compose": {**PROJECT["compose"], "required": True},
    "worker_service": {"type": "str"},
    "folder": {"type": "path", "required": True},
}


def run_plan(own: Specification, work: Callable[[Specification, Project], Specification]) -> None:
    """Run a module that looks at a project and says what to add to it; it changes nothing in any mode."""
    module = AnsibleModule(argument_spec={**_PLAN, **own}, supports_check_mode=True)
    try:
        project = Project(module.params["compose"])
        result = work(module.params, project)
    except CleanupError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, project=project.name, scale=project.scale, **result)
