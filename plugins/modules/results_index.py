# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: results_index
short_description: Make the indexes that cleaning up Celery task records needs
version_added: 1.0.0
description:
  - Makes the indexes without which the rules of a profile read the whole table. An index that is there already and serves is left as it is,
    whatever its name.
  - A purge by age needs an index that begins with the date that tells a row's age, and one for each table whose rows are deleted with the records.
    Ending zombies needs one that finds the few unfinished rows. On PostgreSQL an index of a part of the table serves, too, where the rule
    implies its predicate, as C((is_active, started_at\) WHERE is_active AND ended_at IS NULL) for reading sessions.
  - On PostgreSQL they are built with C(CREATE INDEX CONCURRENTLY), and those for zombies hold unfinished rows only. On MariaDB and MySQL they are
    built with C(LOCK=NONE). On SQLite nobody can write meanwhile.
  - What an earlier build of the same index has left unfinished is dropped first.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes
  - fleetops.celery._database
  - fleetops.celery._database.table
  - fleetops.celery._database.alone
options:
  lock_timeout:
    description:
      - How long to wait for other sessions, as V(2s) or V(1m). V(2s) where not given.
      - PostgreSQL finishes a build when transactions have ended that are older than the index. Waiting for them keeps nobody from the table.
    type: str
seealso:
  - module: fleetops.celery.results_purge
  - module: fleetops.celery.zombie_fail
  - module: fleetops.celery.deployment_info
"""

EXAMPLES = r"""
- name: Make the index that Celery itself makes only in new tables
  fleetops.celery.results_index:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    profile: celery_database

- name: Make them on a busy server
  fleetops.celery.results_index:
    compose:
      project_dir: /srv/reader
    profile: reading_sessions
    lock_timeout: 5m
"""

RETURN = r"""
indexes:
  description: The indexes that the profile's rules need.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The index that serves.
      type: str
      sample: ix_celery_taskmeta_date_done
    table:
      description: Its table.
      type: str
      sample: celery_taskmeta
    columns:
      description: Its columns. None stands for an expression.
      type: list
      elements: str
      sample: [date_done]
    where:
      description: Which rows it holds. Empty where it holds all of them.
      type: str
      sample: ''
    created:
      description: Whether it was made, or in check mode would be.
      type: bool
      sample: true
report:
  description: The same in readable lines.
  returned: success
  type: list
  elements: str
  sample:
    - 'celery_taskmeta: made 1 index'
    - '  - ix_celery_taskmeta_date_done on celery_taskmeta (date_done)'
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.documents import (
    support_document,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable
from ansible_collections.fleetops.celery.plugins.module_utils._engine.report import (
    index_diff,
    support_report,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.supporting import support
from ansible_collections.fleetops.celery.plugins.module_utils._module import (
    chosen_profile,
    run_module,
)


def work(module: AnsibleModule, database: Database) -> dict[str, Any]:
    result = support(database, RecordTable(database, chosen_profile(module)), check=module.check_mode)
    return {
        **support_document(result),
        "report": support_report(result),
        "diff": index_diff(result),
    }


def main() -> None:
    run_module({"lock_timeout": {"type": "str"}}, work, alone=True)


if __name__ == "__main__":
    main()
