# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of django-celery-results that are measured: real tables, rows as an application leaves them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import ColumnElement
from support.servers import Database
from support.tables import Ago, Rows, UniqueText, create_django_celery_results, fill

VERSION = "2.6.0"
TABLE = "django_celery_results_taskresult"
#: Rows lie evenly over these days, so what is older than half of them is half of the rows.
DAYS = 100
HALF = f"{DAYS // 2}d"

_PLAIN_INDEXES = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = CAST(:name AS regclass) AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
"""
_DAY = 86_400.0
_TASK = "customized.image_editor.tasks_batch.check_and_flush_callbacks"
_STATUSES = {"SUCCESS": 0.95, "FAILURE": 0.04, "REVOKED": 0.01}
_RESULTS: dict[str, object] = {
    "SUCCESS": {"flushed": 3, "batch": "c41d8f0e", "seconds": 0.81},
    "FAILURE": {"exc_type": "TimeoutError", "exc_message": ["the model did not answer"], "exc_module": "builtins"},
    "REVOKED": {"exc_type": "TaskRevokedError", "exc_message": ["expired"], "exc_module": "celery.exceptions"},
}


@dataclass(frozen=True)
class _Finished:
    """Some seconds after the row was created, no two tasks alike: dates ascend with the ids, but not strictly."""

    created: Ago
    within: float = 8.0

    def expression(self, number: ColumnElement[int], count: int, context: Any) -> ColumnElement[Any]:
        created = self.created.expression(number, count, context)
        if context.kind == "mariadb":
            return sa.func.timestampadd(
                sa.text("MICROSECOND"), sa.func.floor(sa.func.rand() * self.within * 1e6), created
            )
        return created + sa.func.random() * self.within * sa.literal_column("INTERVAL '1 second'")


def make(database: Database, rows: int) -> None:
    """Create the tables and fill them with *rows* finished results; what the server knows of them is up to date."""
    create_django_celery_results(database, VERSION)
    if database.kind == "mariadb":
        fill(database, TABLE, list(_groups(rows)), order_by="date_created")
        database.execute(f"ANALYZE TABLE {TABLE}")
        return
    indexes = database.execute(_PLAIN_INDEXES, name=TABLE)
    # Built at the end, which takes a third of the time; those of the constraints grow with the rows.
    for name, _definition in indexes:
        database.execute(f"DROP INDEX {name}")
    fill(database, TABLE, list(_groups(rows)), order_by="date_created")
    for _name, definition in indexes:
        database.execute(definition)
    engine = database.engine(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("VACUUM (FREEZE, ANALYZE)"))
    engine.dispose()


def _groups(rows: int) -> Iterator[Rows]:
    created = Ago(DAYS * _DAY, 0)
    for status, share in _STATUSES.items():
        yield Rows(
            round(rows * share),
            {
                "task_id": UniqueText(),
                "task_name": _TASK,
                "periodic_task_name": "check-and-flush-callbacks",
                "task_args": '"()"',
                "task_kwargs": "\"{'editor': 'image', 'limit': 200, 'flush': True}\"",
                "worker": "celery@7d1f0c9e2b4a",
                "status": status,
                "content_type": "application/json",
                "content_encoding": "utf-8",
                "result": json.dumps(_RESULTS[status]),
                "meta": '{"children": []}',
                "date_created": created,
                "date_started": created,
                "date_done": _Finished(created),
            },
        )
