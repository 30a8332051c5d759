# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a worker waits to store a result, at rest and beside a purge."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from statistics import quantiles

import sqlalchemy as sa
from records import TABLE
from support.servers import Database

_AT_REST = 3.0  # seconds
_START = sa.text(
    f"INSERT INTO {TABLE} (task_id, status, content_type, content_encoding, date_created, date_done) "
    "VALUES (:task, 'STARTED', 'application/json', 'utf-8', now(), now())"
)
_END = sa.text(f"UPDATE {TABLE} SET status = 'SUCCESS', result = '{{}}', date_done = now() WHERE task_id = :task")


def waits(database: Database, way: Callable[[Database], object]) -> tuple[list[float], list[float]]:
    """Return the seconds that each task's two writes take: at rest, and while *way* runs."""
    at_rest = _write_until(database, "rest", _after(_AT_REST))
    running = threading.Thread(target=way, args=(database,))
    running.start()
    beside = _write_until(database, "beside", lambda: not running.is_alive())
    running.join()
    return at_rest, beside


def _after(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end


def _write_until(database: Database, name: str, over: Callable[[], bool]) -> list[float]:
    taken: list[float] = []
    engine = database.engine()
    with engine.connect() as connection:
        while not over():
            began = time.perf_counter()
            for statement in (_START, _END):
                connection.execute(statement, {"task": f"{name}-{len(taken)}"})
                connection.commit()
            taken.append(time.perf_counter() - began)
    engine.dispose()
    return taken


def p99(taken: list[float]) -> float:
    return quantiles(taken, n=100)[-1]
