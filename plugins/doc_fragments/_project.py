# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that add to a Compose project. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    # Keep in step with PROJECT in module_utils/_project.py
    DOCUMENTATION = r"""
options:
  compose:
    description: The Compose project, whose database it is unless O(database_url) says otherwise. It must run.
    type: dict
    suboptions:
      project_dir:
        description: The folder of its Compose file.
        type: path
        required: true
      project_name:
        description: Its name, where several run from that folder.
        type: str
      database_service:
        description: The service of the database, where several could be it.
        type: str
      app_service:
        description: A service whose environment has the database's URL, where the database's own has no credentials.
        type: str
      docker_cli:
        description: The C(docker) command, where it is not in the search path.
        type: path
  database_url:
    description:
      - The URL of the database as the project's containers reach it. That of the project's own database where not given.
    type: str
"""

    # Keep in step with SCHEDULE in module_utils/_project.py
    SCHEDULE = r"""
options:
  schedule:
    description: What runs, and when.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: A name for the entry.
        type: str
        required: true
      task:
        description: The task, such as V(run_policy).
        type: str
        required: true
      crontab:
        description: When, as the usual five fields.
        type: str
        required: true
      kwargs:
        description: Keyword arguments of the task.
        type: dict
  timezone:
    description: The time zone of the schedule.
    type: str
    default: UTC
  queue:
    description: The queue of the tasks. Where not given, V(maintenance) for the sidecar, and the application's own choice for its workers.
    type: str
  priority:
    description: The priority of their messages, from V(0) to V(10).
    type: int
"""

    # Keep in step with _PLAN in module_utils/_project.py
    PLAN = r"""
options:
  worker_service:
    description: The service of the application's worker, where it is not recognised by its command.
    type: str
  folder:
    description: The folder on the host for what belongs to this deployment.
    type: path
    required: true
"""
