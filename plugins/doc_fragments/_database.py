# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that the modules share. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    # Keep in step with _DATABASE in module_utils/_module.py
    DOCUMENTATION = r"""
options:
  database_url:
    description:
      - The database as a SQLAlchemy URL, for example V(postgresql://user:password@host:5432/database).
      - The scheme is V(postgresql), V(mysql), V(mariadb) or V(sqlite). Without a C(+driver) whichever driver is installed serves.
      - Exactly one of O(database_url) and O(compose) is needed.
      - If the task specifies neither this nor O(compose), the value of the environment variable E(CELERY_DATABASE_URL) on the host is used.
    type: str
  compose:
    description:
      - The Compose project whose database it is. The running database container is found by its Compose labels.
      - The credentials are taken from the container's environment or its secret files, else from an application's C(DATABASE_URL).
      - The address is the published port, else the container's own address.
      - Exactly one of O(database_url) and O(compose) is needed.
    type: dict
    suboptions:
      project_dir:
        description: The folder of the project's Compose file.
        type: path
      project_name:
        description: The project's name. One of O(compose.project_dir) and O(compose.project_name) is needed.
        type: str
      containers:
        description:
          - The names of the project's containers where they are known, as RV(fleetops.celery.deployment_info#module:services) tells them.
          - It spares looking for them, which is done all the same where one of them is gone.
        type: list
        elements: str
      database_service:
        description: The service that is the database. By default it is recognised by its image or environment.
        type: str
      app_service:
        description: The service of the application, whose C(DATABASE_URL) is read where the database container has no credentials.
        type: str
      docker_cli:
        description: The C(docker) command. By default it is looked for in the search path.
        type: path
requirements:
  - SQLAlchemy 1.4.31 or newer
  - for PostgreSQL psycopg2 or psycopg 3; for MariaDB and MySQL PyMySQL or mysqlclient
notes:
  - The libraries are needed by the Python interpreter on the host where the module runs. Where it lacks them, the module starts again in the
    virtual environment that the role P(fleetops.celery.prerequisites#role) makes, or in C(/usr/bin/python3).
"""

    # Keep in step with _TABLE in module_utils/_module.py
    TABLE = r"""
options:
  profile:
    description:
      - What kind of record table it is. The profile knows the table, its columns, its statuses and the default rules.
      - V(django_celery_results) is the table of django-celery-results.
      - V(celery_database) is the table of Celery's own SQLAlchemy result backend.
      - V(processing_tasks), V(task_logs) and V(reading_sessions) are applications' own tables.
    type: str
    choices:
      - django_celery_results
      - celery_database
      - processing_tasks
      - task_logs
      - reading_sessions
    default: django_celery_results
  table:
    description:
      - The table, as V(table) or V(schema.table), where it is not the profile's own.
      - With another name than the profile's, the tables beside it (groups, chords, children) are left alone.
    type: str
  columns:
    description:
      - The table's columns, where they are not the profile's own.
      - The keys are the words of the profile, such as C(task_id), C(task_name), C(status), C(created), C(started), C(finished) and C(reason).
    type: dict
"""

    ALONE = r"""
options: {}
notes:
  - Fails at once, and changes nothing, where another run is at work on the table, and names the session that holds its lock. Any module of the
    collection that changes the table, the command C(celery-cleanup) and the Celery tasks are such runs. Check mode is in nobody's way.
    Behind a pooler such as PgBouncer no lock is taken, as nobody could give it back.
"""
