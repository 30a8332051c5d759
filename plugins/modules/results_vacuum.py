# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: results_vacuum
short_description: Give back the space of deleted Celery task records
version_added: 1.0.0
description:
  - Vacuums, analyzes or rebuilds a record table or its indexes where there is something to gain, and tells the bytes before and after.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes
  - fleetops.celery._database
  - fleetops.celery._database.table
  - fleetops.celery._database.alone
attributes:
  diff_mode:
    details:
      - In check mode the sizes afterwards are not known; the steps are shown instead.
options:
  mode:
    description:
      - V(auto) does what is worth doing without an exclusive lock. On PostgreSQL that is V(vacuum), then V(reindex); elsewhere V(vacuum).
      - Where 40 percent of a table of PostgreSQL are free, V(auto) runs C(pg_repack) instead, which returns the space to the disk. That takes the extension
        in the database, its program in the same version on the host where the module runs, a user who may use it, a primary key, room for a copy,
        and no session with an old snapshot.
      - V(vacuum) makes the space of dead rows usable again and brings the planner's statistics up to date. On PostgreSQL it runs C(VACUUM (ANALYZE\)),
        on MariaDB and MySQL C(OPTIMIZE TABLE), on SQLite C(VACUUM), which rewrites the whole file.
      - V(analyze) only brings the planner's statistics up to date.
      - V(reindex) rebuilds bloated indexes beside their readers and writers, with PostgreSQL's C(REINDEX INDEX CONCURRENTLY). Before that it
        drops what an earlier rebuild left unfinished; an index whose first build failed is named, and left. It needs PostgreSQL 12;
        other servers rebuild indexes with V(vacuum).
      - V(full) rebuilds the table under an exclusive lock and gives the space back to the disk. It needs O(confirm). It is refused where sessions
        wait for a lock of the table, and where the disk has no room for the copy, if the server's files are on this host.
    type: str
    choices: [auto, vacuum, analyze, reindex, full]
    default: auto
  min_dead_percent:
    description:
      - From what share of dead rows or free space it is worth doing. V(analyze) does not look at it.
      - An index is rebuilt from a free share of 40 on where this is less, for ordinary use leaves up to a third of it free, and only where that
        gains a megabyte.
    type: float
    default: 10
  expected_dead_rows:
    description:
      - How many rows M(fleetops.celery.results_purge) deletes just before this.
      - In check mode nothing has deleted them, so they are counted as dead. Otherwise this has no effect.
    type: int
    default: 0
  expected_ended_rows:
    description:
      - How many rows M(fleetops.celery.zombie_fail) ends just before this.
      - PostgreSQL writes a row anew and leaves the old one dead. In check mode nothing has done so, so they are counted. Otherwise this has no effect.
    type: int
    default: 0
  confirm:
    description: The table's name, to confirm O(mode=full).
    type: str
  lock_timeout:
    description: How long to wait for other sessions, as V(2s) or V(1m). V(2s) where not given.
    type: str
seealso:
  - module: fleetops.celery.results_purge
"""

EXAMPLES = r"""
- name: Vacuum where a tenth of the rows are dead
  fleetops.celery.results_vacuum:
    database_url: postgresql://shop:secret@127.0.0.1/shop

- name: Rebuild the indexes that are mostly empty
  fleetops.celery.results_vacuum:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    mode: reindex

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
  sample: [VACUUM (ANALYZE), REINDEX INDEX CONCURRENTLY django_celer_date_do_f59aad_idx]
left_out:
  description: Why nothing was done, or why a step was left out. Empty where everything was done.
  returned: success
  type: str
  sample: ''
notes:
  description: What else there is to know, such as what could not be looked at.
  returned: success
  type: list
  elements: str
  sample: ['what of an index is free is an estimate; the extension pgstattuple would measure it']
indexes:
  description:
    - The indexes that were judged, as they were before. On PostgreSQL with O(mode=auto) and O(mode=reindex), those of a megabyte or more.
    - Without the extension C(pgstattuple), or the right to use it, partial indexes and those of expressions are not judged.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The index.
      type: str
      sample: django_celer_date_do_f59aad_idx
    size_bytes:
      description: Its size.
      type: int
      sample: 6758400
    free_percent:
      description: What share of it its entries would not need if it were rebuilt, once dead rows are removed.
      type: float
      sample: 69.7
    estimate:
      description: Whether that is estimated from the planner's statistics. It is measured where C(pgstattuple) is there.
      type: bool
      sample: true
held_back_by:
  description:
    - What keeps PostgreSQL from removing dead rows, oldest first. In check mode, what may do so.
    - Sessions of other users show only with the rights of C(pg_monitor).
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: V(session), V(prepared transaction) or V(replication slot).
      type: str
      sample: session
    pid:
      description: The process of the session, or of the slot's user.
      type: int
      sample: 4711
    name:
      description: The session's application, or the name of the transaction or slot.
      type: str
      sample: nightly-export
    state:
      description: What it is doing.
      type: str
      sample: idle in transaction
    seconds:
      description: For how long. Not known of a slot.
      type: int
      sample: 7260
    transactions:
      description: How many transactions ago it began.
      type: int
      sample: 48211
report:
  description: The same in readable lines.
  returned: success
  type: list
  elements: str
  sample: ['django_celery_results_taskresult: VACUUM (ANALYZE), size 48 MB → 48 MB, the space of 99,336 dead rows can be used again']
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
        expected_ended_rows=params["expected_ended_rows"],
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
            "expected_ended_rows": {"type": "int", "default": 0},
            "confirm": {"type": "str"},
            "lock_timeout": {"type": "str"},
        },
        work,
        alone=True,
    )


if __name__ == "__main__":
    main()
