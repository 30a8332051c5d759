# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zombie_fail
short_description: End Celery task records whose task is dead
version_added: 1.0.0
description:
  - Sets rows that have been unfinished for too long to V(FAILURE), with the reason. Reading sessions are closed.
  - A row of a Celery result table stays readable. C(AsyncResult(id).get(\)) raises C(WorkerLostError) with the reason.
    A row whose result is in an encoding that cannot be written is counted and left as it is.
  - The statement that ends a row checks it again, so a task that finished meanwhile keeps its result.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes
  - fleetops.celery._database
  - fleetops.celery._database.table
  - fleetops.celery._database.alone
options:
  rules:
    description:
      - Which rows are ended. A row counts for the first rule that selects it. The profile's own rules where not given.
    type: list
    elements: dict
    suboptions:
      name:
        description: What the rule is called in results. Its description where not given.
        type: str
      statuses:
        description: The statuses of unfinished rows, in any case.
        type: list
        elements: str
        required: true
      since:
        description:
          - Whether the age counts from when the task started or from when the record was created.
          - A started row of django-celery-results is as old as its last write, and one that does not say when it started is as old as the record.
        type: str
        choices: [started, created]
        default: started
      older_than:
        description: From what age, as V(90s), V(15m), V(24h), V(7d) or V(4w).
        type: str
        required: true
      set_status:
        description:
          - What the rows become. V(FAILURE) where not given, V(CLOSED) for reading sessions.
          - In Celery's own result tables only V(FAILURE) and V(REVOKED).
        type: str
      reason:
        description: What is recorded as the reason. The rule in words where not given.
        type: str
  proof:
    description:
      - With V(containers), the containers of the project are asked about the process that each started row names.
        A row whose container or process is gone is ended at any age, a row whose process lives at none, and where that cannot be known
        its age decides. It needs O(compose), a result table of Celery, and that all workers of the project run on this host.
      - Nothing is taken for gone before all other containers of this host's engine have been asked, for a worker may run beside the project. Where
        several containers have the name that a row tells, one in which the process lives is enough.
      - Read are JSON and pickled results. A pickle is not unpickled, which could run code; its instructions are read.
    type: str
    choices: [containers]
  lock_timeout:
    description:
      - How long to wait for other sessions, as V(2s) or V(1m). V(2s) where not given.
      - Rows that another session holds for longer are left where the server can go around them, for somebody is at work on them.
    type: str
seealso:
  - module: fleetops.celery.results_info
  - module: fleetops.celery.results_purge
"""

EXAMPLES = r"""
- name: Fail what has been RUNNING for a day or PENDING for two hours
  fleetops.celery.zombie_fail:
    database_url: mysql://echoclip:secret@127.0.0.1/echoclip
    profile: processing_tasks

- name: Show which started tasks are older than six hours
  fleetops.celery.zombie_fail:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    rules:
      - name: started
        statuses: [STARTED]
        older_than: 6h
        reason: The worker was restarted
  check_mode: true
  diff: true

- name: Fail what a worker left behind that was killed, and nothing that still runs
  fleetops.celery.zombie_fail:
    compose:
      project_dir: /srv/shop
    proof: containers

- name: Close abandoned reading sessions
  fleetops.celery.zombie_fail:
    database_url: postgresql://reader:secret@127.0.0.1/reader
    profile: reading_sessions
"""

RETURN = r"""
matched:
  description: How many rows the rules selected.
  returned: success
  type: int
  sample: 7
ended:
  description: How many rows were ended. V(0) in check mode.
  returned: success
  type: int
  sample: 7
rules:
  description: The same for each rule. C(unwritable) rows have a result in an encoding that cannot be written, and were left.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "running", "table": "processing_tasks", "set_status": "FAILURE", "matched": 2, "ended": 2, "unwritable": 0}]
rows:
  description:
    - The first 100 of the rows, as they were found, the oldest of each rule first.
    - With O(proof), C(verdict) is what RV(verdicts) says of the row.
  returned: success
  type: list
  elements: dict
  sample:
    - table: processing_tasks
      rule: running
      identity: '4711'
      task: video_slice
      status: RUNNING
      since: '2026-11-20T01:02:03+00:00'
      age_seconds: 349977
      writable: true
      verdict:
verdicts:
  description:
    - The first 100 of the rows that the containers were asked about, ended or not, beginning with the one that was not written for longest.
      How many got each verdict is in RV(report). Empty without O(proof).
  returned: success
  type: list
  elements: dict
  contains:
    table:
      description: The table.
      type: str
      sample: django_celery_results_taskresult
    identity:
      description: The row's task id.
      type: str
      sample: 0d9ef0c4-6a2e-4b57-9f0c-8a3d5a2b7f11
    task:
      description: The task's name. V(none) where the table does not have it.
      type: str
      sample: shop.tasks.crawl
    status:
      description: The status that the row had.
      type: str
      sample: STARTED
    host:
      description: The host that the row says it runs on, a container's as a rule. V(none) where the row names no process.
      type: str
      sample: 3f2a9c0b1d4e
    pid:
      description: The process there.
      type: int
      sample: 17
    verdict:
      description:
        - V(alive) protects the row at any age.
        - V(container_gone), V(container_stopped), V(container_restarted) and V(process_gone) end it at any age.
        - With V(unknown) its age decides.
      type: str
      sample: alive
report:
  description: The same in readable lines.
  returned: success
  type: list
  elements: str
  sample:
    - 'processing_tasks: ended 7 records whose task is dead'
    - '  - running: 2 records (RUNNING for more than 24h → FAILURE)'
    - '  - pending: 5 records (PENDING for more than 2h → FAILURE)'
"""

from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine.census_report import census_diff
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.documents import (
    zombie_document,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.proof import Containers
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable
from ansible_collections.fleetops.celery.plugins.module_utils._engine.report import (
    zombie_report,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.rules import (
    parse_zombie_rules,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.zombies import (
    fail_zombies,
    fail_zombies_of_dependents,
)
from ansible_collections.fleetops.celery.plugins.module_utils._module import (
    ZOMBIE_RULES,
    Module,
    chosen_profile,
    given_rules,
    run_module,
)


def work(module: Module, database: Database) -> dict[str, Any]:
    profile = chosen_profile(module)
    rules = given_rules(module.params["rules"])
    check = module.check_mode
    chosen = parse_zombie_rules(rules) if rules is not None else profile.zombie_rules
    project = module.project if module.params["proof"] else None
    containers = Containers(project.docker, project.containers) if project else None
    record = RecordTable(database, profile)
    results = [fail_zombies(database, record, chosen, check=check, containers=containers)]
    if rules is None:
        results += fail_zombies_of_dependents(database, profile, check=check)
    return {
        **zombie_document(results),
        "report": zombie_report(results),
        "diff": [census_diff(one.table, one.before, one.after) for one in results],
    }


def main() -> None:
    run_module(
        {
            "rules": ZOMBIE_RULES,
            "proof": {"type": "str", "choices": ["containers"]},
            "lock_timeout": {"type": "str"},
        },
        work,
        alone=True,
        required_by={"proof": "compose"},
    )


if __name__ == "__main__":
    main()
