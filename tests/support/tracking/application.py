# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the application's processes. Each task writes into a journal what it really does, before it does it."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery  # type: ignore[import-untyped]
from celery.exceptions import Ignore, Reject  # type: ignore[import-untyped]

from .. import broker

broker.register()
FOLDER = Path(os.environ["TRACKED_FOLDER"])
JOURNAL = FOLDER / "journal"

_messages = FOLDER / "broker"
_messages.mkdir(exist_ok=True)
app = Celery("shop")
app.conf.update(
    broker_url=broker.URL,
    broker_transport_options={
        "data_folder_in": str(_messages),
        "data_folder_out": str(_messages),
        "control_folder": str(FOLDER / "control"),
        "polling_interval": 0.05,
    },
    result_backend="cache+memory://",
    worker_hijack_root_logger=False,
    task_create_missing_queues=True,
)


def note(task: Any, event: str) -> None:
    """One line, which the kernel writes whole."""
    entry = {"id": task.request.id, "attempt": task.request.retries + 1, "event": event, "at": time.time()}
    file = os.open(JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, (json.dumps(entry) + "\n").encode())
    os.close(file)


@app.task(bind=True, name="shop.add")  # type: ignore[untyped-decorator]
def add(self: Any, left: int, right: int) -> int:
    note(self, "run")
    return left + right


@app.task(bind=True, name="shop.greet")  # type: ignore[untyped-decorator]
def greet(self: Any, user_id: Any) -> None:
    note(self, "run")


@app.task(bind=True, name="shop.order", max_retries=3)  # type: ignore[untyped-decorator]
def order(self: Any, article: str) -> None:
    note(self, "run")
    try:
        raise LookupError(f"no {article} left")
    except LookupError as error:
        raise self.retry(exc=error, countdown=0) from None


@app.task(bind=True, name="shop.hold")  # type: ignore[untyped-decorator]
def hold(self: Any, flag: str = "go") -> str:
    """Go on until the file `flag` is there."""
    note(self, "run")
    while not (FOLDER / flag).exists():
        time.sleep(0.02)
    return flag


@app.task(bind=True, name="shop.die")  # type: ignore[untyped-decorator]
def die(self: Any) -> None:
    note(self, "run")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True, name="shop.count")  # type: ignore[untyped-decorator]
def count(self: Any, total: int) -> dict[str, int]:
    note(self, "run")
    for current in range(1, total + 1):
        self.update_state(state="PROGRESS", meta={"current": current, "total": total})
        while not (FOLDER / f"step-{current}").exists():
            time.sleep(0.02)
    return {"counted": total}


@app.task(bind=True, name="shop.ignore")  # type: ignore[untyped-decorator]
def ignore(self: Any) -> None:
    note(self, "run")
    raise Ignore


@app.task(bind=True, name="shop.reject")  # type: ignore[untyped-decorator]
def reject(self: Any) -> None:
    note(self, "run")
    raise Reject("not for us", requeue=False)


@app.task(bind=True, name="shop.slow", time_limit=1)  # type: ignore[untyped-decorator]
def slow(self: Any) -> None:
    note(self, "run")
    time.sleep(60)


@app.task(bind=True, name="shop.hidden", track=False)  # type: ignore[untyped-decorator]
def hidden(self: Any) -> None:
    note(self, "run")


@app.task(bind=True, name="shop.pay", track=True)  # type: ignore[untyped-decorator]
def pay(self: Any) -> None:
    note(self, "run")


@app.task(bind=True, name="shop.bulk", track_started=False)  # type: ignore[untyped-decorator]
def bulk(self: Any) -> int:
    note(self, "run")
    return 1


@app.task(bind=True, name="shop.echo")  # type: ignore[untyped-decorator]
def echo(self: Any, value: Any) -> Any:
    note(self, "run")
    return value
