# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment_info
short_description: Look a deployment of a Celery application over
version_added: 1.0.0
description:
  - Finds a deployment's services, its database and the record tables in it, and tells what is wrong and what to do about it.
  - Given a Compose project, it also asks the application in its container how it is configured, and whether worker and beat run.
  - It does not fail on a broken deployment. What is wrong is in RV(findings).
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes.info
  - fleetops.celery._database
options:
  database_url:
    description:
      - The database as a SQLAlchemy URL, for example V(postgresql://user:password@host:5432/database).
      - The scheme is V(postgresql), V(mysql), V(mariadb) or V(sqlite). Without a C(+driver) whichever driver is installed serves.
      - Given together with O(compose), this is the database, and the services are those of the project. One of them is needed.
      - If the task specifies neither this nor O(compose), the value of the environment variable E(CELERY_DATABASE_URL) on the host is used.
  compose:
    description:
      - The Compose project whose services are looked at, and whose database it is unless O(database_url) is given.
      - The credentials are taken from the database container's environment or its secret files, else from an application's C(DATABASE_URL).
      - The address is the published port, else the container's own address.
  tables:
    description: The record tables to look at. Every profile's whose table exists where empty.
    type: list
    elements: dict
    default: []
    suboptions:
      profile:
        description: What kind of record table it is.
        type: str
        choices: [django_celery_results, celery_database, processing_tasks, task_logs, reading_sessions]
        default: django_celery_results
      table:
        description: The table, as V(table) or V(schema.table), where it is not the profile's own.
        type: str
      columns:
        description: The table's columns, where they are not the profile's own.
        type: dict
      purge_rules:
        description:
          - The rules by which its rows are deleted, as O(fleetops.celery.results_purge#module:rules), where they are not the profile's own.
          - It tells which indexes are needed.
        type: list
        elements: dict
  worker_service:
    description: The service of the application's worker, where it is not recognised by its command.
    type: str
  beat_service:
    description: The service of beat, where it is not recognised by its command.
    type: str
  backend_cleanup_wanted:
    description:
      - Whether C(celery.backend_cleanup) is to run, as where the role P(fleetops.celery.migrate#role) had V(both) or V(builtin) in
        C(migrate_strategy).
      - Then it is a finding where it would delete nothing, and none where it is enabled or beat makes it again.
    type: bool
    default: false
seealso:
  - module: fleetops.celery.results_info
"""

EXAMPLES = r"""
- name: Find the record tables of a deployment
  fleetops.celery.deployment_info:
    database_url: postgresql://shop:secret@127.0.0.1/shop
  register: deployment

- name: Look at the services of a project beside a table that lies elsewhere
  fleetops.celery.deployment_info:
    compose:
      project_dir: /srv/shop
    database_url: postgresql://shop:secret@db.example.com/shop
    tables:
      - profile: processing_tasks
        table: jobs.background_jobs

- name: Show what is wrong with it
  ansible.builtin.debug:
    var: deployment.findings
"""

RETURN = r"""
project:
  description: The name of the Compose project. V(none) where it was not found, or O(compose) is not given.
  returned: success
  type: str
  sample: shop
compose_options:
  description:
    - The options by which C(docker compose) reads the files that the application's newest container was made from.
    - Empty where Compose finds these files by itself in the project's folder, as it does without C(--file) and C(--env-file).
  returned: success
  type: list
  elements: str
  sample: [--project-directory, /srv/shop, --file, /srv/shop/docker-compose.prod.yml]
scale:
  description:
    - How many containers each service has. Where C(docker compose up --scale) has made several, no file says so, and C(up) has to be told again.
    - Empty where the project was not found.
  returned: success
  type: dict
  sample: {"celery_worker": 3}
services:
  description:
    - The containers of the Compose project, running or not. Empty where O(compose) is not given.
    - C(roles) has V(database), V(worker) or V(beat). It has V(application) for other services that run from the image of worker or beat.
    - What C(docker compose run) has started has none.
  returned: success
  type: list
  elements: dict
  sample:
    - service: celery_beat
      container: shop-celery_beat-1
      image: shop-backend
      state: running
      health:
      roles: [beat]
beat:
  description:
    - The schedule in django-celery-beat, and how the application is configured. Values are V(none) where they are not known.
    - Beat makes the entries of the application's own C(beat_schedule) anew at each start.
    - C(maintenance) names the tasks of the role P(fleetops.celery.beat_schedule#role) that are scheduled, by its sidecar where that runs or by enabled
      periodic tasks.
  returned: success
  type: dict
  sample:
    periodic_tasks: 10
    backend_cleanup_enabled: false
    result_expires: 86400.0
    timezone: UTC
    beat_schedule: [cleanup-celery-results]
    maintenance: [celery_maintenance.run_policy]
    versions: {"celery": "5.6.3", "django-celery-beat": "2.9.0", "django-celery-results": "2.6.0"}
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
      description: V(error) where the deployment does not do its work, V(warning) where it soon may not, or does what nobody wants.
      type: str
      sample: warning
    code:
      description:
        - A name for this kind of finding, such as V(database_unreachable), V(beat_not_running), V(worker_not_running), V(worker_stopped),
          V(beat_not_scheduling), V(beat_misses_tasks),
          V(table_missing), V(rights_missing), V(index_missing), V(referenced), V(reference_without_index), V(id_nearly_used_up), V(backend_cleanup_returns),
          V(backend_cleanup_enabled), V(backend_cleanup_idle), V(results_never_expire), V(stale_schedule_file) or V(periodic_task_unknown).
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
report:
  description: The findings in readable lines.
  returned: success
  type: list
  elements: str
  sample:
    - 'ERROR beat_not_running: No Celery beat runs in the project: shop-celery_beat-1 is exited.'
    - '  docker compose up -d celery_beat'
"""

from dataclasses import asdict
from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine.deployment import (
    Survey,
    not_found,
    survey_database,
    survey_project,
    unreachable,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import CleanupError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.findings import survey_report
from ansible_collections.fleetops.celery.plugins.module_utils._engine.policy import parse_tables
from ansible_collections.fleetops.celery.plugins.module_utils._engine.profiles import DEFAULT_PROFILE, PROFILES
from ansible_collections.fleetops.celery.plugins.module_utils._module import new_module, open_database


def as_result(found: Survey) -> dict[str, Any]:
    known = found.configuration
    return {
        "project": found.project,
        "compose_options": found.compose_options,
        "scale": found.scale,
        "services": [asdict(service) for service in found.services],
        "database": {"kind": found.kind, "name": found.name, "version": found.version},
        "profiles": [{"profile": one.profile.name, "table": one.profile.table} for one in found.tables],
        "beat": {
            "periodic_tasks": found.periodic_tasks,
            "backend_cleanup_enabled": found.builtin_enabled,
            "result_expires": known.result_expires if known else None,
            "timezone": known.timezone if known else None,
            "beat_schedule": sorted(known.beat_schedule) if known else [],
            "maintenance": sorted(found.maintenance),
            "versions": known.versions if known else {},
        },
        "findings": [asdict(finding) for finding in found.findings],
        "report": survey_report(found.findings),
    }


def main() -> None:
    text = {"type": "str"}
    tables = {
        "profile": {"type": "str", "default": DEFAULT_PROFILE, "choices": list(PROFILES)},
        "table": text,
        "columns": {"type": "dict"},
        "purge_rules": {"type": "list", "elements": "dict"},
    }
    module = new_module(
        {
            "tables": {"type": "list", "elements": "dict", "default": [], "options": tables},
            "worker_service": text,
            "beat_service": text,
            "backend_cleanup_wanted": {"type": "bool", "default": False},
        },
        table=False,
        both=True,
    )
    params = module.params
    try:
        named = list(parse_tables(params["tables"], "tables: element"))
    except CleanupError as error:
        module.fail_json(msg=str(error))
    try:
        project = module.project
        found = survey_project(project, params["worker_service"], params["beat_service"]) if project else Survey()
    except CleanupError as error:
        found = Survey(findings=[not_found(error)])
        if not params["database_url"]:
            # Nothing more can be said of its database.
            module.exit_json(changed=False, **as_result(found))
    try:
        with open_database(module, read_only=True) as database:
            survey_database(found, database, named, builtin_wanted=params["backend_cleanup_wanted"])
    except CleanupError as error:
        found.findings.append(unreachable(error))
    module.exit_json(changed=False, **as_result(found))


if __name__ == "__main__":
    main()
