# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backend_cleanup
short_description: Retire celery.backend_cleanup from django-celery-beat
version_added: 1.0.0
description:
  - Disables, removes or restores the periodic task C(celery.backend_cleanup), which beat installs by itself and which deletes every result that
    is older than the application's C(result_expires).
  - Beat is told in the same transaction, so a running one takes notice within seconds.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes
  - fleetops.celery._database
options:
  state:
    description:
      - With V(disabled) the row is kept and disabled. This survives every start of beat, which never enables a row that exists.
        Where the row is absent and O(result_expires) says that beat will make it, it is made, disabled.
      - With V(absent) it is deleted. Beat makes it again at its next start unless the application sets C(result_expires) to V(none).
      - With V(present) it is there and enabled.
    type: str
    choices: [disabled, absent, present]
    default: disabled
  result_expires:
    description:
      - The application's C(result_expires), as seconds, as V(24h) or V(7d), or V(none), where it is known.
      - With O(compose), the application is asked in its container where this is not given, and for its C(beat_schedule) too.
      - It only serves to tell whether beat makes the row again.
    type: str
  own_task:
    description: The name of the application's own cleanup task, to tell whether it is there.
    type: str
  wait:
    description:
      - After a change, wait until a running beat says in its log that it took notice, for as long as it takes beat to look at its schedule again and
        10 seconds more. That is 15 seconds, or longer by C(--max-interval) of beat or C(beat_max_loop_interval) of the application.
      - Beat says so at level C(INFO), while its own level is C(WARNING). Without C(--loglevel info) in its command, or where it writes its log to a
        file, there is nothing to wait for, and a warning says so. It needs O(compose).
    type: bool
    default: false
  worker_service:
    description: The service of the application's worker, where it is not recognised by its command. It needs O(compose).
    type: str
  beat_service:
    description: The service of beat, where it is not recognised by its command. It needs O(compose).
    type: str
notes:
  - What beat makes of the row at its start is the same in django-celery-beat 2.6.0, 2.7.0, 2.8.0, 2.8.1 and 2.9.0, where the methods of
    C(schedulers.py) that write it, C(setup_schedule), C(install_default_entries), C(update_from_dict) and C(from_entry), do not differ. So
    RV(recreation) follows from C(result_expires) and C(beat_schedule) alone.
  - An entry called C(celery.backend_cleanup) in the application's own C(beat_schedule) that says C(enabled) enables a disabled row again.
    Take that out of the entry.
seealso:
  - module: fleetops.celery.periodic_task
  - module: fleetops.celery.results_purge
"""

EXAMPLES = r"""
- name: Retire the built-in cleanup for good
  fleetops.celery.backend_cleanup:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    own_task: cleanup-celery-results

- name: Delete it from an application that sets CELERY_RESULT_EXPIRES to None
  fleetops.celery.backend_cleanup:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    state: absent
    result_expires: none

- name: Have it back
  fleetops.celery.backend_cleanup:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    state: present
"""

RETURN = r"""
before:
  description: The row before. V(none) where there was none.
  returned: success
  type: dict
  sample:
    name: celery.backend_cleanup
    task: celery.backend_cleanup
    enabled: true
    crontab: 0 4 * * *
    timezone: UTC
    args: []
    kwargs: {}
    queue:
    priority:
    expire_seconds: 43200
    description: ''
after:
  description: The row afterwards, or in check mode as it would be. V(none) where there is none.
  returned: success
  type: dict
  sample:
    name: celery.backend_cleanup
    task: celery.backend_cleanup
    enabled: false
    crontab: 0 4 * * *
    timezone: UTC
    args: []
    kwargs: {}
    queue:
    priority:
    expire_seconds: 43200
    description: ''
recreation:
  description: Whether beat makes the row again.
  returned: success
  type: dict
  contains:
    verdict:
      description: V(stays_disabled), V(stays_absent), V(will_come_back), V(stays_enabled) or V(unknown).
      type: str
      sample: stays_disabled
    why:
      description: The reason.
      type: str
      sample: Beat never writes enabled, so the row stays disabled at every start.
beat_notified:
  description: Whether beat was told to read its schedule anew.
  returned: success
  type: bool
  sample: true
beat_noticed:
  description: Whether a running beat said that it took notice. V(none) where it was not waited for, or where beat does not show it.
  returned: success
  type: bool
  sample: true
periodic_tasks:
  description: How many periodic tasks there are, enabled or not.
  returned: success
  type: int
  sample: 10
own_task:
  description: The application's own cleanup task. V(none) where it is absent or O(own_task) was not given.
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
report:
  description: The same in readable lines.
  returned: success
  type: list
  elements: str
  sample:
    - 'celery.backend_cleanup: enabled at 0 4 * * * (UTC) → disabled'
    - '  Beat never writes enabled, so the row stays disabled at every start.'
    - '  Total periodic tasks: 11'
    - '  Own cleanup task cleanup-celery-results: enabled at 0 3 * * * (UTC)'
"""

from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine.application import (
    celery_processes,
    read_project,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.beat import (
    Beat,
    describe,
    describe_change,
    task_diff,
    task_document,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.builtin_cleanup import (
    NAME,
    STATES,
    parse_result_expires,
    set_builtin_cleanup,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import CleanupError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.noticing import wait_for_beat
from ansible_collections.fleetops.celery.plugins.module_utils._module import Module, run_module


def _may_be_made(beat: Beat, state: str) -> bool:
    """Whether it matters what beat makes by itself: only the application knows, which takes it a second to say."""
    return state == "absent" or (state == "disabled" and beat.find(NAME) is None)


def work(module: Module, database: Database) -> dict[str, Any]:
    params, project = module.params, module.project
    beat = Beat(database)
    began = datetime.now(timezone.utc)
    processes = (
        celery_processes(project.containers, params["worker_service"], params["beat_service"]) if project else []
    )
    known = None
    if project and params["result_expires"] is None and _may_be_made(beat, params["state"]):
        try:
            known = read_project(project.docker, processes)
        except CleanupError as problem:
            raise CleanupError(f"{problem} Mend that, or give result_expires.") from None
    expires = bool(known.result_expires) if known else parse_result_expires(params["result_expires"])
    own = beat.find(params["own_task"]) if params["own_task"] else None
    result = set_builtin_cleanup(
        beat,
        params["state"],
        expires,
        scheduled=known is not None and NAME in known.beat_schedule,
        timezone=beat.usual_timezone(),
        check=module.check_mode,
    )
    report = [
        describe_change(NAME, result.before, result.after),
        f"  {result.recreation.why}",
        f"  Total periodic tasks: {result.periodic_tasks:,}",
    ]
    if params["own_task"]:
        report.append(f"  Own cleanup task {params['own_task']}: {describe(own)}")
    noticed = None
    if params["wait"] and project and result.changed and not module.check_mode:
        notice = wait_for_beat(project.docker, processes, known, began)
        noticed = notice.taken
        if notice.why:
            module.warn(notice.why)
    return {
        "changed": result.changed,
        "beat_noticed": noticed,
        "before": task_document(result.before),
        "after": task_document(result.after),
        "recreation": asdict(result.recreation),
        "beat_notified": result.changed and not module.check_mode,
        "periodic_tasks": result.periodic_tasks,
        "own_task": task_document(own),
        "report": report,
        "diff": task_diff(NAME, result.before, result.after),
    }


def main() -> None:
    run_module(
        {
            "state": {"type": "str", "default": "disabled", "choices": list(STATES)},
            "result_expires": {"type": "str"},
            "own_task": {"type": "str"},
            "wait": {"type": "bool", "default": False},
            "worker_service": {"type": "str"},
            "beat_service": {"type": "str"},
        },
        work,
        table=False,
    )


if __name__ == "__main__":
    main()
