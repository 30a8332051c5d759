# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: results_restore
short_description: Put archived Celery task records back
version_added: 1.0.0
description:
  - Puts the rows of an archive that M(fleetops.celery.results_purge) wrote back into their tables, as they were, with their ids.
  - Rows that are there already, by their primary key or another unique one, are left alone.
  - A row whose key another row has now, such as an id that SQLite gave away again, is not put back, nor are the rows of child tables
    that belong to it. They are counted as RV(conflicts), and a warning names their tables.
  - Checksums and columns are verified before the first row is written.
  - Columns may have become wider. Where the server refuses a row all the same, the error names the columns whose type has changed, and
    says how many rows were put back before.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes
  - fleetops.celery._database
  - fleetops.celery._database.alone
options:
  path:
    description:
      - An archive's manifest, the file whose name ends with C(.manifest.json), on the host where the module runs.
      - Or a folder, whose archives are all put back, the newest first.
    type: path
    required: true
  task_ids:
    description: Only records of these tasks, by their ids. Children of a record go with it; group results go only where every row does.
    type: list
    elements: str
  statuses:
    description: Only records in one of these statuses, in any case.
    type: list
    elements: str
  tasks:
    description: Only records of these tasks, by their names, with regard to case.
    type: list
    elements: str
  match:
    description:
      - How O(tasks) are compared with a record's task name, V(contains) where not given.
      - In a V(glob), V(*) stands for any text and V(?) for one character.
    type: str
    choices: [contains, exact, glob]
notes:
  - An archive goes back to the same kind of database, PostgreSQL, MariaDB or MySQL, or SQLite.
  - The next run of M(fleetops.celery.results_purge) deletes again what its rules select.
seealso:
  - module: fleetops.celery.results_purge
"""

EXAMPLES = r"""
- name: Put everything back that one run has deleted
  fleetops.celery.results_restore:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    path: /var/backups/shop/django_celery_results_taskresult-20260801T031500Z-4f1a9c.manifest.json

- name: Show how many failures of one task would come back
  fleetops.celery.results_restore:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    path: /var/backups/shop
    statuses: [FAILURE]
    tasks: [image_editor]
  check_mode: true
"""

RETURN = r"""
restored:
  description: How many rows were put back, or in check mode would be.
  returned: success
  type: int
  sample: 248
present:
  description: How many of the selected rows were left alone, as they are there.
  returned: success
  type: int
  sample: 0
conflicts:
  description:
    - How many of the selected rows were not put back and are not there, because another row has one of their keys now.
    - Rows of child tables are among them whose record is not in the table under the key that they name.
  returned: success
  type: int
  sample: 0
tables:
  description: The same for each table.
  returned: success
  type: list
  elements: dict
  sample:
    - {"table": "django_celery_results_taskresult", "restored": 245, "present": 0, "conflicts": 0}
    - {"table": "django_celery_results_groupresult", "restored": 3, "present": 0, "conflicts": 0}
manifests:
  description: The manifests of the archives that were read.
  returned: success
  type: list
  elements: str
  sample: [/var/backups/shop/django_celery_results_taskresult-20260801T031500Z-4f1a9c.manifest.json]
report:
  description: The same in readable lines.
  returned: success
  type: list
  elements: str
  sample: ['django_celery_results_taskresult: put back 245 records', 'django_celery_results_groupresult: put back 3 records']
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.documents import (
    restore_document,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.report import (
    restore_diff,
    restore_report,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.restore import restore
from ansible_collections.fleetops.celery.plugins.module_utils._engine.restore_selection import (
    parse_wanted,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.rules import MATCHES
from ansible_collections.fleetops.celery.plugins.module_utils._module import run_module


def work(module: AnsibleModule, database: Database) -> dict[str, Any]:
    result = restore(
        database,
        Path(module.params["path"]),
        parse_wanted(module.params),
        check=module.check_mode,
    )
    for note in result.notes:
        module.warn(note)
    return {
        **restore_document(result),
        "report": restore_report(result),
        "diff": restore_diff(result),
    }


def main() -> None:
    run_module(
        {
            "path": {"type": "path", "required": True},
            "task_ids": {"type": "list", "elements": "str"},
            "statuses": {"type": "list", "elements": "str"},
            "tasks": {"type": "list", "elements": "str"},
            "match": {"type": "str", "choices": list(MATCHES)},
        },
        work,
        table=False,
    )


if __name__ == "__main__":
    main()
