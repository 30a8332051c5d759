# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tracking_plan
short_description: Work out how the tasks of a Compose project are recorded
version_added: 1.0.0
description:
  - Checks the application's images, and tells what the override file has to say so that the project's workers, and what sends them tasks, record
    what tasks do.
  - The role P(fleetops.celery.task_tracking#role) does the rest. This module only reads.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes.host
  - fleetops.celery._project
  - fleetops.celery._project.plan
options:
  compose:
    required: true
  services:
    description: The other services that send tasks. Those with a worker's image where empty.
    type: list
    elements: str
    default: []
  mode:
    description: Whether all tasks are recorded, or only those that are critical.
    type: str
    choices: [all, critical]
    default: all
  tasks:
    description: Names of critical tasks; V(*) stands for any text.
    type: list
    elements: str
    default: []
  arguments:
    description: Whether arguments and results are recorded.
    type: bool
    default: true
  queue_interval:
    description: Seconds between two looks at the lengths of the queues; V(0) for none.
    type: int
    default: 60
seealso:
  - module: fleetops.celery.compose_override
"""

EXAMPLES = r"""
- name: Work out what has to be added to a project
  fleetops.celery.tracking_plan:
    compose:
      project_dir: /srv/shop
    folder: /opt/fleetops-celery/deployments/shop
"""

RETURN = r"""
project:
  description: The name of the Compose project.
  returned: success
  type: str
  sample: shop
scale:
  description:
    - How many containers each service has. Where C(docker compose up --scale) has made several, no file says so, and C(up) has to be told again.
  returned: success
  type: dict
  sample: {"celery_worker": 3}
services:
  description: What to give to C(services) of M(fleetops.celery.compose_override).
  returned: success
  type: dict
  sample: {"celery_worker": {"environment": {"CELERY_TRACKING": "all"}}}
workers:
  description: How many containers run a worker.
  returned: success
  type: int
  sample: 1
libraries:
  description: Whether an image lacks SQLAlchemy, so that the package must bring it.
  returned: success
  type: bool
  sample: true
uid:
  description: The id of the user who runs Celery there.
  returned: success
  type: int
  sample: 1000
gid:
  description: The id of that user's group.
  returned: success
  type: int
  sample: 1000
"""

from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine.compose import Project
from ansible_collections.fleetops.celery.plugins.module_utils._engine.drivers import kind_of
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.maintenance_surroundings import (
    examine_container,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.tracking_services import tracked
from ansible_collections.fleetops.celery.plugins.module_utils._engine.workers import find_senders, find_workers
from ansible_collections.fleetops.celery.plugins.module_utils._project import run_plan


def work(params: dict[str, Any], project: Project) -> dict[str, Any]:
    settings = _settings(params)
    url = params["database_url"] or project.database_url(inside=True)
    workers = find_workers(project, params["worker_service"])
    by_service = {worker.container.service: worker.container for worker in workers}
    senders = find_senders(project, workers, params["services"])
    containers = [*by_service.values(), *senders]
    found = [examine_container(project.docker, one, kind_of(url)) for one in containers]
    first = found[0]
    for container, one in zip(containers, found):
        # The database's URL is in a file that only one user reads.
        if one.uid not in (0, first.uid):
            raise UsageError(
                f"Service {container.service} runs as user {one.uid}, and {containers[0].service} as user {first.uid}. "
                "Name in services those that run as the same user."
            )
    return {
        "services": tracked(containers, params["folder"], settings),
        "workers": len(workers),
        "libraries": any(one.needs_libraries for one in found),
        "uid": first.uid,
        "gid": first.gid,
    }


def _settings(params: dict[str, Any]) -> dict[str, str]:
    if params["queue_interval"] < 0:
        raise UsageError("queue_interval must not be negative.")
    wrong = [name for name in params["tasks"] if not name.strip() or "," in name]
    if wrong:
        raise UsageError(f"tasks: {wrong[0]!r} is no task's name.")
    return {
        "CELERY_TRACKING": params["mode"],
        "CELERY_TRACKING_TASKS": ",".join(params["tasks"]),
        "CELERY_TRACKING_ARGUMENTS": "on" if params["arguments"] else "off",
        "CELERY_TRACKING_QUEUE_INTERVAL": str(params["queue_interval"]),
    }


def main() -> None:
    names = {"type": "list", "elements": "str", "default": []}
    run_plan(
        {
            "services": names,
            "mode": {"type": "str", "default": "all", "choices": ["all", "critical"]},
            "tasks": names,
            "arguments": {"type": "bool", "default": True},
            "queue_interval": {"type": "int", "default": 60},
        },
        work,
    )


if __name__ == "__main__":
    main()
