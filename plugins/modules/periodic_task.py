# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: periodic_task
short_description: Manage a periodic task of django-celery-beat
version_added: 1.0.0
description:
  - Makes, changes or removes one row of the schedule that django-celery-beat keeps in the database, from 2.6 to 2.9. Other rows are left alone.
  - The schedule is always a crontab. Intervals are refused, since beat counts them from the last run, and from its own start until there was
    one, so that daily work moves through the day, or never runs where beat restarts daily. A row that has one of a day or more is warned of.
  - Beat is told in the same transaction, so a running one takes notice within seconds.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes
  - fleetops.celery._database
options:
  name:
    description: The name of the row.
    type: str
    required: true
  task:
    description: The task to run, as workers know it. Needed to make a row.
    type: str
  crontab:
    description:
      - When to run it, as the usual five fields, V(minute hour day-of-month month day-of-week). Needed to make a row.
      - A schedule of another kind, such as an interval, is replaced.
      - After a change, given O(compose), the application is asked for its version of django-celery-beat. A warning tells where that is 2.8.0,
        which leaves out tasks of an hour that is more than one away.
    type: str
  interval:
    description: Refused, with the reason. Use O(crontab).
    type: raw
  timezone:
    description: The time zone of O(crontab). For a new schedule, that of the other rows where not given.
    type: str
  args:
    description: Positional arguments of the task.
    type: list
    elements: raw
  kwargs:
    description: Keyword arguments of the task.
    type: dict
  queue:
    description: The queue to send it to. Empty for the application's own choice.
    type: str
  priority:
    description: The priority of its message, from V(0) to V(255).
    type: int
  expire_seconds:
    description: After how many seconds a message that nobody took is dropped.
    type: int
  enabled:
    description: Whether beat runs it. A new row is enabled where not given.
    type: bool
  description:
    description: What it is for.
    type: str
  state:
    description: Whether the row is there.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: fleetops.celery.backend_cleanup
"""

EXAMPLES = r"""
- name: Clean up every night at three
  fleetops.celery.periodic_task:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    name: cleanup-celery-results
    task: apps.scheduler.tasks.cleanup_celery_results
    crontab: 0 3 * * *
    timezone: Europe/Berlin
    kwargs:
      days_to_keep: 7
    queue: light
    expire_seconds: 3600

- name: Pause it
  fleetops.celery.periodic_task:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    name: cleanup-celery-results
    enabled: false

- name: Remove it
  fleetops.celery.periodic_task:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    name: cleanup-celery-results
    state: absent
"""

RETURN = r"""
before:
  description: The row before. V(none) where there was none.
  returned: success
  type: dict
  sample:
    name: cleanup-celery-results
    task: apps.scheduler.tasks.cleanup_celery_results
    enabled: true
    crontab: 0 3 * * *
    timezone: UTC
    args: []
    kwargs: {}
    queue:
    priority:
    expire_seconds:
    description: ''
after:
  description: The row afterwards, or in check mode as it would be. V(none) where there is none.
  returned: success
  type: dict
  sample:
    name: cleanup-celery-results
    task: apps.scheduler.tasks.cleanup_celery_results
    enabled: true
    crontab: 0 3 * * *
    timezone: Europe/Berlin
    args: []
    kwargs: {"days_to_keep": 7}
    queue: light
    priority:
    expire_seconds: 3600
    description: ''
beat_notified:
  description: Whether beat was told to read its schedule anew.
  returned: success
  type: bool
  sample: true
report:
  description: The same in readable lines.
  returned: success
  type: list
  elements: str
  sample: ['cleanup-celery-results: absent → enabled at 0 3 * * * (Europe/Berlin)']
"""

from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine.application import celery_processes, read_project
from ansible_collections.fleetops.celery.plugins.module_utils._engine.beat import (
    Beat,
    describe_change,
    task_diff,
    task_document,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.beat_versions import (
    MISSED,
    MISSED_FIX,
    may_be_missed,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import CleanupError, UsageError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.scheduling import (
    COLUMNS,
    NO_INTERVALS,
    counts_days,
    remove_task,
    set_task,
)
from ansible_collections.fleetops.celery.plugins.module_utils._module import Module, run_module


def _versions(module: Module) -> dict[str, str]:
    """Return the versions of the application's packages; none where it cannot be asked."""
    try:
        known = module.project and read_project(module.project.docker, celery_processes(module.project.containers))
    except CleanupError:
        return {}
    return known.versions if known else {}


def work(module: Module, database: Database) -> dict[str, Any]:
    params, check = module.params, module.check_mode
    if params["interval"] is not None:
        raise UsageError(f"interval is refused. {NO_INTERVALS}")
    beat, name = Beat(database), params["name"]
    if params["state"] == "absent":
        before, after = remove_task(beat, name, check=check)
    else:
        given = {key: params[key] for key in COLUMNS if params[key] is not None}
        before, after = set_task(beat, name, given, crontab=params["crontab"], timezone=params["timezone"], check=check)
    changed = before != after
    if counts_days(after):
        module.warn(f"{name} has an interval of a day or more. {NO_INTERVALS}")
    elif changed and after is not None and may_be_missed(after, _versions(module)):
        module.warn(f"{MISSED} So it may never send {name}. {MISSED_FIX}")
    return {
        "changed": changed,
        "before": task_document(before),
        "after": task_document(after),
        "beat_notified": changed and not check,
        "report": [describe_change(name, before, after)],
        "diff": task_diff(name, before, after),
    }


def main() -> None:
    run_module(
        {
            "name": {"type": "str", "required": True},
            "task": {"type": "str"},
            "crontab": {"type": "str"},
            "interval": {"type": "raw"},
            "timezone": {"type": "str"},
            "args": {"type": "list", "elements": "raw"},
            "kwargs": {"type": "dict"},
            "queue": {"type": "str"},
            "priority": {"type": "int"},
            "expire_seconds": {"type": "int"},
            "enabled": {"type": "bool"},
            "description": {"type": "str"},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        },
        work,
        table=False,
    )


if __name__ == "__main__":
    main()
