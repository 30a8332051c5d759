# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_plan
short_description: Work out how maintenance tasks get into a Compose project
version_added: 1.0.0
description:
  - Checks a schedule, a policy and the application's image, and tells what the override file has to say so that beat runs the maintenance tasks.
  - The role P(fleetops.celery.beat_schedule#role) does the rest. This module only reads.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes.host
  - fleetops.celery._project
  - fleetops.celery._project.plan
  - fleetops.celery._project.schedule
options:
  compose:
    required: true
  mode:
    description:
      - With V(sidecar) one more service runs the tasks, from the application's image.
      - With V(database) the application's workers do.
    type: str
    choices: [sidecar, database]
    default: sidecar
  application:
    description: The application, as C(celery -A) takes it, where the worker's command does not name it.
    type: str
  policy:
    description: The policy, whose keys are the variables of the role P(fleetops.celery.cleanup#role) without their prefix.
    type: dict
    default: {}
seealso:
  - module: fleetops.celery.compose_override
  - module: fleetops.celery.maintenance_policy
  - module: fleetops.celery.maintenance_schedule
"""

EXAMPLES = r"""
- name: Work out what has to be added to a project
  fleetops.celery.maintenance_plan:
    compose:
      project_dir: /srv/shop
    schedule:
      - name: maintenance
        task: run_policy
        crontab: 0 2 * * *
    timezone: Europe/Berlin
    folder: /opt/fleetops-celery/deployments/shop
  register: plan
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
  description: What the override file has to say.
  returned: success
  type: dict
  sample: {"celery_maintenance": {"extends": {"file": "compose.yml", "service": "celery_worker"}, "image": "shop-backend"}}
package:
  description: Where the package belongs on the host.
  returned: success
  type: str
  sample: /opt/fleetops-celery/deployments/shop/maintenance.pyz
policy:
  description: Where the policy belongs on the host.
  returned: success
  type: str
  sample: /opt/fleetops-celery/deployments/shop/policy/policy.json
libraries:
  description: Whether the image lacks SQLAlchemy, so that the package has to bring it.
  returned: success
  type: bool
  sample: true
uid:
  description: The id of the user who runs Celery in the containers, and has to read the policy.
  returned: success
  type: int
  sample: 1000
gid:
  description: The id of that user's group.
  returned: success
  type: int
  sample: 1000
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine.application import CeleryProcess, queues_of
from ansible_collections.fleetops.celery.plugins.module_utils._engine.compose import Project
from ansible_collections.fleetops.celery.plugins.module_utils._engine.compose_files import ProjectFiles
from ansible_collections.fleetops.celery.plugins.module_utils._engine.drivers import kind_of
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.maintenance_schedule import parse_schedule
from ansible_collections.fleetops.celery.plugins.module_utils._engine.maintenance_services import (
    DEFAULT_QUEUE,
    POLICY_NAME,
    Sources,
    in_workers,
    sidecar,
    stop_folder,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.maintenance_surroundings import (
    examine_container,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.policy import parse_policy
from ansible_collections.fleetops.celery.plugins.module_utils._engine.workers import find_workers
from ansible_collections.fleetops.celery.plugins.module_utils._project import SCHEDULE, run_plan


def work(params: dict[str, Any], project: Project) -> dict[str, Any]:
    schedule = parse_schedule(
        params["schedule"], timezone=params["timezone"], queue=params["queue"], priority=params["priority"]
    )
    url = params["database_url"] or project.database_url(inside=True)
    policy = parse_policy({**params["policy"], "database_url": url})
    workers = find_workers(project, params["worker_service"])
    _check_queue(params["mode"], schedule.queue, project, workers)
    base = workers[0]
    found = examine_container(project.docker, base.container, kind_of(url))
    folder = Path(params["folder"])
    archive = str(policy.archive["path"]) if policy.archive else None
    sources = Sources(
        package=str(folder / "maintenance.pyz"),
        plugin_folder=str(folder / "plugin"),
        policy_folder=str(folder / "policy"),
        archive=archive,
        stop_folder=stop_folder(policy.limits.stop_file),
    )
    if params["mode"] == "sidecar":
        application = params["application"] or base.app
        if not application:
            raise UsageError(
                f"The command of service {base.container.service} does not name its application (celery -A …). "
                "Name it in application."
            )
        files = ProjectFiles(project.docker, params["compose"]["project_dir"])
        services = sidecar(base, application, files.base.name, schedule, sources)
    else:
        services = in_workers(workers, sources)
    return {
        "services": services,
        "package": sources.package,
        "policy": str(Path(sources.policy_folder, POLICY_NAME)),
        "libraries": found.needs_libraries,
        "uid": found.uid,
        "gid": found.gid,
    }


def _check_queue(mode: str, queue: str | None, project: Project, workers: Sequence[CeleryProcess]) -> None:
    """Refuse a queue in which tasks would come to workers that do not know them, or to none."""
    if mode == "database" and not queue:
        return  # the application's own choice
    read = {worker.container.service: queues_of(project.docker, worker) for worker in workers}
    if mode == "sidecar":
        queue = queue or DEFAULT_QUEUE
        for service, queues in read.items():
            if queue in queues:
                raise UsageError(
                    f"queue: service {service} of the application reads {queue} too. The sidecar would take tasks from it that "
                    "it does not know, and they would be lost. Give another queue, or have the application's workers run the "
                    "tasks with the mode database."
                )
    elif all(read.values()) and not any(queue in queues for queues in read.values()):
        told = "; ".join(f"{service} reads {', '.join(sorted(queues))}" for service, queues in sorted(read.items()))
        raise UsageError(f"queue: no worker of the project reads {queue}, so the tasks would never run: {told}.")


def main() -> None:
    text = {"type": "str"}
    run_plan(
        {
            "mode": {"type": "str", "default": "sidecar", "choices": ["sidecar", "database"]},
            "application": text,
            **SCHEDULE,
            "policy": {"type": "dict", "default": {}},
        },
        work,
    )


if __name__ == "__main__":
    main()
