# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Django with django-celery-results: 100,000 rows, nearly all of them of two tasks that run every few seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ages import DAY, between, last
from support.servers import Database
from support.tables import Ago, Rows, UniqueText, create_django_celery_results, fill

FLUSH = "customized.image_editor.tasks_batch.check_and_flush_callbacks"
STUCK = "customized.image_editor.tasks_batch.cleanup_stuck_callbacks"
GRAPH = "agentic.tasks.run_graph_task"

# By task and status: rows of more than seven days, rows of between one and seven, rows of the last day.
COUNTS: dict[tuple[str, str], tuple[int, int, int]] = {
    (FLUSH, "SUCCESS"): (69_400, 8_000, 1_500),
    (FLUSH, "FAILURE"): (800, 80, 20),
    (FLUSH, "REVOKED"): (150, 30, 10),
    (FLUSH, "STARTED"): (5, 4, 1),
    (STUCK, "SUCCESS"): (13_900, 1_600, 300),
    (STUCK, "FAILURE"): (130, 15, 5),
    (STUCK, "REVOKED"): (40, 8, 2),
    (GRAPH, "SUCCESS"): (2_900, 500, 100),
    (GRAPH, "FAILURE"): (310, 60, 10),
    (GRAPH, "REVOKED"): (80, 15, 5),
    (GRAPH, "STARTED"): (12, 6, 2),
}
WORKER = "celery@7d1f0c9e2b4a"
# As Celery's JSON serializer leaves them; a STARTED row names its worker's process.
RESULTS: dict[str, dict[str, object]] = {
    "SUCCESS": {"flushed": 0},
    "FAILURE": {"exc_type": "TimeoutError", "exc_message": ["the model did not answer"], "exc_module": "builtins"},
    "REVOKED": {"exc_type": "TaskRevokedError", "exc_message": ["expired"], "exc_module": "celery.exceptions"},
    "STARTED": {"pid": 17, "hostname": WORKER},
}
SECONDS = {FLUSH: 1.0, STUCK: 4.0, GRAPH: 95.0}


def _rows() -> Iterator[Rows]:
    for (task, status), counts in COUNTS.items():
        # date_done is the time of the last write: of the start, where a task has not ended.
        seconds = 0.0 if status == "STARTED" else SECONDS[task]
        spreads: list[tuple[Ago, Ago]] = [
            (between(60 * DAY, 7 * DAY), between(60 * DAY, 7 * DAY, seconds)),
            (between(7 * DAY, DAY), between(7 * DAY, DAY, seconds)),
            (last(DAY), last(DAY)),
        ]
        for count, (created, done) in zip(counts, spreads, strict=True):
            yield Rows(
                count,
                {
                    "task_id": UniqueText(),
                    "task_name": task,
                    "task_args": '"()"',
                    "task_kwargs": '"{}"',
                    "worker": WORKER,
                    "status": status,
                    "content_type": "application/json",
                    "content_encoding": "utf-8",
                    "result": json.dumps(RESULTS[status]),
                    "meta": '{"children": []}',
                    "date_created": created,
                    "date_done": done,
                },
            )


def make(database: Database) -> int:
    create_django_celery_results(database)
    return fill(database, "django_celery_results_taskresult", list(_rows()), order_by="date_created")
