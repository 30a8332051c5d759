# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment_info
short_description: Look a deployment of a Celery application over
version_added: 1.0.0
description:
  - Finds a deployment's database and the record tables in it, and tells what is wrong and what to do about it.
  - It does not fail on a broken deployment. What is wrong is in RV(findings).
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes.info
  - fleetops.celery._database
seealso:
  - module: fleetops.celery.results_info
"""

EXAMPLES = r"""
- name: Find the record tables of a deployment
  fleetops.celery.deployment_info:
    database_url: postgresql://shop:secret@127.0.0.1/shop
  register: deployment

- name: Show what is wrong with it
  ansible.builtin.debug:
    var: deployment.findings
"""

RETURN = r"""
database:
  description: The database.
  returned: success
  type: dict
  contains:
    kind:
      description: What kind of database it is, V(postgresql), V(mysql) or V(sqlite). V(none) where it was not found.
      type: str
      sample: postgresql
    name:
      description: The database in words. V(none) where it was not found.
      type: str
      sample: PostgreSQL database shop at 127.0.0.1:5432
    version:
      description: The server's version. V(none) where it could not be opened.
      type: str
      sample: '15.8'
profiles:
  description: The record tables that were found, each with its profile.
  returned: success
  type: list
  elements: dict
  sample: [{"profile": "django_celery_results", "table": "django_celery_results_taskresult"}]
findings:
  description: What is wrong. Empty for a healthy deployment.
  returned: success
  type: list
  elements: dict
  contains:
    severity:
      description: V(error) where nothing can be done before it is mended, else V(warning).
      type: str
      sample: warning
    code:
      description: A name for this kind of finding, V(database_unreachable) or V(no_record_table).
      type: str
      sample: no_record_table
    message:
      description: What is wrong.
      type: str
      sample: PostgreSQL database shop at 127.0.0.1:5432 has none of the tables django_celery_results_taskresult, celery_taskmeta.
    fix:
      description: What to do about it.
      type: str
      sample: Check that this is the application's database, or name its table in cleanup_tables.
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.deployment import (
    Survey,
    survey,
    unreachable,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import CleanupError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.profiles import PROFILES
from ansible_collections.fleetops.celery.plugins.module_utils._module import run_module


def work(_module: AnsibleModule, database: Database) -> dict[str, Any]:
    return as_result(survey(database))


def without_database(error: CleanupError) -> dict[str, Any]:
    return as_result(Survey(None, None, None, [], [unreachable(error)]))


def as_result(found: Survey) -> dict[str, Any]:
    return {
        "database": {"kind": found.kind, "name": found.name, "version": found.version},
        "profiles": [{"profile": name, "table": PROFILES[name].table} for name in found.profiles],
        "findings": [asdict(finding) for finding in found.findings],
    }


def main() -> None:
    run_module({}, work, table=False, reads=True, on_error=without_database)


if __name__ == "__main__":
    main()
