# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the measured worker: a task that does nothing, and one that says when it runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import timed_handlers
from celery import Celery  # type: ignore[import-untyped]

app = Celery("bench", broker=os.environ["BENCH_BROKER"])
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False, worker_send_task_events=False)
if "BENCH_HANDLERS" in os.environ:
    timed_handlers.time_handlers(Path(os.environ["BENCH_HANDLERS"]))


@app.task(name="bench.nothing")  # type: ignore[untyped-decorator]
def nothing() -> None:
    pass


@app.task(name="bench.mark")  # type: ignore[untyped-decorator]
def mark(name: str) -> None:
    Path(os.environ["BENCH_FOLDER"], name).write_text(repr(time.perf_counter()), encoding="utf-8")
