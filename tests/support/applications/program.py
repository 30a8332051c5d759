# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a process of the application: makes its tables, sends its tasks, reads a result."""

from __future__ import annotations

import argparse
import json
from typing import Any

from celery import chord, group  # type: ignore[import-untyped]
from celery.result import AsyncResult  # type: ignore[import-untyped]

from .celery_app import WITH_DJANGO, add, app, hang, order, total


def create_tables() -> None:
    if WITH_DJANGO:
        from django.core.management import call_command  # type: ignore[import-untyped]

        call_command("migrate", verbosity=0, interactive=False)
    else:
        app.backend.ResultSession().close()


def send() -> dict[str, Any]:
    """One task of each kind; the ids, by the names of WorkerIds."""
    batch = group(add.s(number, number) for number in range(3)).apply_async()
    batch.save()
    finished = chord([add.s(1, 1), add.s(2, 2)], total.s()).apply_async()
    # A task whose time is over before a worker sees it is revoked by the worker.
    revoked = add.apply_async((1, 2), expires=-60)
    success, failure = add.delay(2, 3), order.delay("tea")
    # What hangs comes last, as the processes that it keeps do nothing else.
    stuck = chord([add.s(3, 3), hang.s()], total.s()).apply_async()
    hanging = hang.delay()
    return {
        "success": success.id,
        "failure": failure.id,
        "revoked": revoked.id,
        "hanging": hanging.id,
        "group": batch.id,
        "group_members": [member.id for member in batch.results],
        "finished_chord": finished.id,
        "finished_chord_members": [member.id for member in finished.parent.results],
        "stuck_chord": stuck.id,
        "stuck_chord_finished_member": stuck.parent.results[0].id,
        "stuck_chord_hanging_member": stuck.parent.results[1].id,
    }


def read(task_id: str) -> dict[str, Any]:
    result = AsyncResult(task_id, app=app)
    told: dict[str, Any] = {"state": result.state, "value": None, "exception_class": None, "exception_message": None}
    try:
        told["value"] = result.get(timeout=5)
    except Exception as error:
        told["exception_class"] = f"{type(error).__module__}.{type(error).__qualname__}"
        told["exception_message"] = str(error)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["create-tables", "send", "read"])
    parser.add_argument("task_id", nargs="?")
    options = parser.parse_args()
    if options.command == "create-tables":
        create_tables()
    elif options.command == "send":
        print(json.dumps(send()))
    else:
        print(json.dumps(read(options.task_id)))


if __name__ == "__main__":
    main()
