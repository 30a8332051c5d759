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
