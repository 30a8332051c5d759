# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: results_vacuum
short_description: Give back the space of deleted Celery task records
version_added: 1.0.0
description:
  - Vacuums, analyzes or rebuilds a record table where there is something to gain, and tells the bytes before and after.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes
  - fleetops.celery._database
  - fleetops.celery._database.table
attributes:
  diff_mode:
    details:
      - In check mode the sizes afterwards are not known; the steps are shown instead.
options:
  mode:
    description:
      - V(auto) does what is worth doing without an exclusive lock, which today is V(vacuum).
      - V(vacuum) makes the space of dead rows usable again and brings the planner's statistics up to date. On PostgreSQL it runs C(VACUUM (ANALYZE\)),
        on MariaDB and MySQL C(OPTIMIZE TABLE), on SQLite C(VACUUM), which rewrites the whole file.
      - V(analyze) only brings the planner's statistics up to date.
      - V(full) rebuilds the table under an exclusive lock and gives the space back to the disk. It needs O(confirm).
    type: str
    choices: [auto, vacuum, analyze, full]
    default: auto
  min_dead_percent:
    description: From what share of dead rows or free space it is worth doing. V(analyze) does not look at it.
    type: float
    default: 10
  expected_dead_rows:
    description:
      - How many rows M(fleetops.celery.results_purge) deletes just before this.
      - In check mode nothing has deleted them, so they are counted as dead. Otherwise this has no effect.
    type: int
    default: 0
  confirm:
    description: The table's name, to confirm O(mode=full).
    type: str
seealso:
  - module: fleetops.celery.results_purge
"""

EXAMPLES = r"""
- name: Vacuum where a tenth of the rows are dead
  fleetops.celery.results_vacuum:
    database_url: postgresql://shop:secret@127.0.0.1/shop

- name: Give the space back to the disk
  fleetops.celery.results_vacuum:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    mode: full
    confirm: django_celery_results_taskresult
"""

RETURN = r"""
before:
  description: The size of the table before, in bytes.
  returned: success
  type: dict
  sample:
    size_bytes: 268435456
    table_bytes: 201326592
    index_bytes: 67108864
    dead_rows: 120432
    estimates: [dead_rows]
after:
  description: The size of the table afterwards, in bytes. In check mode the same as before.
  returned: success
  type: dict
  sample:
    size_bytes: 12582912
    table_bytes: 8388608
    index_bytes: 4194304
    dead_rows: 0
    estimates: [dead_rows]
reclaimed_bytes:
  description: How many bytes were given back to the disk.
  returned: success
  type: int
  sample: 255852544
steps:
  description: What was run, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ['VACUUM (FULL, ANALYZE)']
skipped:
  description: Why nothing was worth doing. Empty where something was.
  returned: success
  type: str
  sample: ''
report:
  description: The same in readable lines.
  returned: success
  type: list
  elements: str
  sample: ['django_celery_results_taskresult: VACUUM (FULL, ANALYZE), size 256 MB → 12 MB, 244 MB returned to the disk']
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.documents import (
    reclaim_document,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.reclaim import MODES, reclaim
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable
from ansible_collections.fleetops.celery.plugins.module_utils._engine.report import (
    reclaim_report,
    size_diff,
)
from ansible_collections.fleetops.celery.plugins.module_utils._module import (
    chosen_profile,
    run_module,
)


def work(module: AnsibleModule, database: Database) -> dict[str, Any]:
    params = module.params
    result = reclaim(
        database,
        RecordTable(database, chosen_profile(module)),
        params["mode"],
        min_dead_percent=params["min_dead_percent"],
        confirm=params["confirm"],
        check=module.check_mode,
        expected_dead_rows=params["expected_dead_rows"],
    )
    return {
        **reclaim_document(result),
        "report": reclaim_report(result),
        "diff": size_diff(result),
    }


def main() -> None:
    run_module(
        {
            "mode": {"type": "str", "default": "auto", "choices": list(MODES)},
            "min_dead_percent": {"type": "float", "default": 10.0},
            "expected_dead_rows": {"type": "int", "default": 0},
            "confirm": {"type": "str"},
        },
        work,
    )


if __name__ == "__main__":
    main()
