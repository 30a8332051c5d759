# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: results_info
short_description: Statistics of a table of Celery task records
version_added: 1.0.0
description:
  - Reads how many records a table holds, by status and by task, its size, its dates, and what is overdue.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes.info
  - fleetops.celery._database
  - fleetops.celery._database.table
options:
  top:
    description: How many task names to list, the most frequent first.
    type: int
    default: 10
  period:
    description: How far back to count created records and closed sessions, as V(90s), V(15m), V(24h), V(7d) or V(4w).
    type: str
    default: 24h
  zombie_rules:
    description:
      - Rules whose matching rows count as overdue, as in O(fleetops.celery.zombie_fail#module:rules). The profile's own where not given.
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
        description: Whether the age counts from when the task started or from when the record was created.
        type: str
        choices: [started, created]
        default: started
      older_than:
        description: From what age, as V(90s), V(15m), V(24h), V(7d) or V(4w).
        type: str
        required: true
      set_status:
        description: What M(fleetops.celery.zombie_fail) would set. Not used here.
        type: str
      reason:
        description: What M(fleetops.celery.zombie_fail) would record. Not used here.
        type: str
seealso:
  - module: fleetops.celery.results_purge
  - module: fleetops.celery.zombie_fail
"""

EXAMPLES = r"""
- name: Read the statistics of django-celery-results
  fleetops.celery.results_info:
    database_url: postgresql://shop:secret@127.0.0.1/shop
  register: results

- name: Show them
  ansible.builtin.debug:
    var: results.report

- name: Count sessions of the last week
  fleetops.celery.results_info:
    database_url: postgresql://reader:secret@127.0.0.1/reader
    profile: reading_sessions
    period: 7d
"""

RETURN = r"""
stats:
  description: The statistics.
  returned: success
  type: dict
  contains:
    table:
      description: The table.
      type: str
      sample: django_celery_results_taskresult
    profile:
      description: The profile.
      type: str
      sample: django_celery_results
    total:
      description: How many records there are.
      type: int
      sample: 125432
    size_bytes:
      description: Bytes of the table with its indexes.
      type: int
      sample: 268435456
    table_bytes:
      description: Bytes of the table without its indexes.
      type: int
      sample: 201326592
    index_bytes:
      description: Bytes of the indexes.
      type: int
      sample: 67108864
    dead_rows:
      description: Rows that were deleted or replaced and still take space, as PostgreSQL counts them. V(none) elsewhere.
      type: int
      sample: 0
    estimates:
      description: The keys beside this one that the server estimates and does not measure.
      type: list
      elements: str
      sample: [dead_rows]
    by_status:
      description: Records by status, the most frequent first.
      type: list
      elements: dict
      sample: [{"status": "SUCCESS", "count": 120432, "percent": 96.0}]
    by_task:
      description:
        - Records by task name, the most frequent first.
        - The name is V(none) for records without one. Celery stores names only where C(result_extended) is on.
      type: list
      elements: dict
      sample: [{"task": "agentic.tasks.run_graph_task", "count": 5000, "percent": 4.0}]
    created_in_period:
      description: Records created within O(period). V(none) where the table does not say when a record was created.
      type: int
      sample: 150
    oldest:
      description: The oldest date, in UTC.
      type: str
      sample: '2026-09-01T03:04:05+00:00'
    newest:
      description: The newest date, in UTC.
      type: str
      sample: '2026-11-24T03:04:05+00:00'
    overdue:
      description: How many rows each zombie rule would end. A row counts for the first rule that selects it.
      type: list
      elements: dict
      sample: [{"rule": "running", "count": 2}]
    sessions:
      description: Statistics of reading sessions. V(none) for other profiles.
      type: dict
      contains:
        total_closed:
          description: Sessions closed within O(period).
          type: int
          sample: 150
        total_active:
          description: Sessions that are open now.
          type: int
          sample: 45
        avg_duration_minutes:
          description: The average duration of the closed ones, in minutes.
          type: float
          sample: 23.5
        no_progress_count:
          description: How many of the closed ones ended where they began.
          type: int
          sample: 12
        period_hours:
          description: The length of O(period) in hours.
          type: float
          sample: 24.0
        timestamp:
          description: When this was read, in UTC.
          type: str
          sample: '2026-11-24T12:00:00+00:00'
default_rules:
  description: The profile's own rules, which M(fleetops.celery.results_purge) and M(fleetops.celery.zombie_fail) apply where none are given.
  returned: success
  type: dict
  sample:
    purge: [{"name": "old", "older_than": "7d"}, {"name": "revoked", "statuses": ["REVOKED"]}]
    zombie: [{"name": "started", "statuses": ["STARTED"], "since": "started", "older_than": "24h"}]
report:
  description: The same in readable lines.
  returned: success
  type: list
  elements: str
  sample:
    - django_celery_results_taskresult (django_celery_results)
    - '  Total records: 125,432'
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.durations import parse_duration
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable
from ansible_collections.fleetops.celery.plugins.module_utils._engine.rules import (
    parse_zombie_rules,
    rule_document,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.statistics import (
    take_statistics,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.statistics_report import (
    statistics_document,
    statistics_report,
)
from ansible_collections.fleetops.celery.plugins.module_utils._module import (
    ZOMBIE_RULES,
    chosen_profile,
    given_rules,
    run_module,
)


def work(module: AnsibleModule, database: Database) -> dict[str, Any]:
    profile = chosen_profile(module)
    rules = given_rules(module.params["zombie_rules"])
    if module.params["top"] < 0:
        raise UsageError("top must not be negative.")
    statistics = take_statistics(
        database,
        RecordTable(database, profile),
        top=module.params["top"],
        period=parse_duration(module.params["period"], "period"),
        zombie_rules=parse_zombie_rules(rules) if rules is not None else profile.zombie_rules,
    )
    return {
        "stats": statistics_document(statistics),
        "default_rules": {
            "purge": [rule_document(rule) for rule in profile.purge_rules],
            "zombie": [rule_document(rule) for rule in profile.zombie_rules],
        },
        "report": statistics_report(statistics),
    }


def main() -> None:
    run_module(
        {
            "top": {"type": "int", "default": 10},
            "period": {"type": "str", "default": "24h"},
            "zombie_rules": ZOMBIE_RULES,
        },
        work,
        reads=True,
    )


if __name__ == "__main__":
    main()
