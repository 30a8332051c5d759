# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what each task returned and how long it took, a line of JSON each, to the file that FLEETOPS_RECORD names."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: record_results
type: aggregate
short_description: Write the results of tasks to a file
description:
  - Writes what each task returned, and the recap, to the file that the environment names.
requirements:
  - FLEETOPS_RECORD in the environment
author:
  - The fleetops.celery contributors
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "record_results"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._started: dict[tuple[str, str], float] = {}

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._started[host.get_name(), task._uuid] = time.monotonic()

    def _write(self, record: dict[str, Any]) -> None:
        with open(os.environ["FLEETOPS_RECORD"], "a", encoding="utf-8") as file:
            file.write(json.dumps(record, default=str) + "\n")

    def _task_ended(self, outcome: str, ended: Any) -> None:
        self._write(
            {
                "host": ended._host.get_name(),
                "task": ended._task.get_name(),
                "action": ended._task.action,
                "outcome": outcome,
                "seconds": time.monotonic() - self._started[ended._host.get_name(), ended._task._uuid],
                "result": ended._result,
            }
        )

    def v2_runner_on_ok(self, result: Any) -> None:
        self._task_ended("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._task_ended("failed", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._task_ended("skipped", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._task_ended("unreachable", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._write({"recap": {host: stats.summarize(host) for host in stats.processed}})
