# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_schedule
short_description: Keep the schedule of maintenance tasks in django-celery-beat
version_added: 1.0.0
description:
  - Makes and changes the rows of the maintenance tasks that the application's workers know by the role P(fleetops.celery.beat_schedule#role), and
    removes those that this module has made before and that are no longer wanted. With an empty O(schedule) it removes all of them.
  - They are known again by their task and their description. Other rows are left alone. A row of the same name that runs a task of the
    application is an error, and nothing is changed then.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes
  - fleetops.celery._database
  - fleetops.celery._project.schedule
seealso:
  - module: fleetops.celery.maintenance_plan
  - module: fleetops.celery.periodic_task
"""

EXAMPLES = r"""
- name: Have the application's beat send the maintenance task
  fleetops.celery.maintenance_schedule:
    compose:
      project_dir: /srv/shop
    schedule:
      - name: maintenance
        task: run_policy
        crontab: 0 2 * * *
    timezone: Europe/Berlin

- name: Take it back
  fleetops.celery.maintenance_schedule:
    compose:
      project_dir: /srv/shop
    schedule: []
"""

RETURN = r"""
beat_notified:
  description: Whether beat was told to read its schedule anew.
  returned: success
  type: bool
  sample: true
report:
  description: What each row was, and what it is or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ['maintenance: absent → enabled at 0 2 * * * (Europe/Berlin)']
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fleetops.celery.plugins.module_utils._engine.beat import Beat, describe_change, task_diff
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.maintenance_rows import set_rows
from ansible_collections.fleetops.celery.plugins.module_utils._engine.maintenance_schedule import parse_schedule
from ansible_collections.fleetops.celery.plugins.module_utils._module import run_module
from ansible_collections.fleetops.celery.plugins.module_utils._project import SCHEDULE


def work(module: AnsibleModule, database: Database) -> dict[str, Any]:
    params = module.params
    entries = params["schedule"]
    options = {key: params[key] for key in ("timezone", "queue", "priority")}
    schedule = parse_schedule(entries, **options) if entries else None
    rows = set_rows(Beat(database), schedule, check=module.check_mode)
    changed = any(before != after for before, after in rows.values())
    return {
        "changed": changed,
        "beat_notified": changed and not module.check_mode,
        "report": [describe_change(name, *change) for name, change in rows.items()],
        "diff": [task_diff(name, *change) for name, change in rows.items()],
    }


def main() -> None:
    run_module(SCHEDULE, work, table=False)


if __name__ == "__main__":
    main()
