# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs under any interpreter, without Celery: a publisher writes its records, then a worker; what can be read then."""

# Only in the environment of an application is the recorder found, and mypy does not look there for the tests.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import os
import sys
from typing import Any

import celery_tracking
from celery_tracking.local import LocalWriter
from celery_tracking.records import END, pack
from celery_tracking.settings import Settings
from celery_tracking.supervisor import Supervisor


def record(order: dict[str, Any]) -> dict[str, Any]:
    settings = Settings.read({**os.environ, "CELERY_TRACKING": "all"})
    publisher = LocalWriter(settings, None, None)
    for one in order["published"]:
        publisher.put(pack(tuple(one)))
    publisher.finish()
    worker = Supervisor(settings, order["worker"], order["born"])
    for one in [*order["worked"], (END, 0.0)]:
        worker.pipe.put(pack(tuple(one)))
    worker.finish()
    return {name: getattr(celery_tracking, name)(**options) for name, options in order["read"].items()}


if __name__ == "__main__":
    print(json.dumps(record(json.load(sys.stdin)), default=str))
