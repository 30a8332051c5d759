# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the measured worker: how long the recorder's receivers keep each task, in a file with a line for each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import signals  # type: ignore[import-untyped]

# Those of a task that succeeds, in their order.
_SIGNALS = (signals.task_prerun, signals.task_success, signals.task_postrun)
_RECORDER = "celery_tracking.handlers"


def time_handlers(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    spent = 0

    def timed(receive: Callable[..., Any], last: bool) -> Callable[..., Any]:
        def receive_in_time(**arguments: Any) -> None:
            nonlocal spent
            began = time.perf_counter_ns()
            receive(**arguments)
            spent += time.perf_counter_ns() - began
            if last:
                os.write(file, f"{spent}\n".encode())
                spent = 0

        return receive_in_time

    for signal in _SIGNALS:
        own = [number for number, (_key, one) in enumerate(signal.receivers) if one.__module__ == _RECORDER]
        for number in own:
            key, receive = signal.receivers[number]
            signal.receivers[number] = key, timed(receive, signal is _SIGNALS[-1])
