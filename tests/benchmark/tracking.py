# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the recorder of the role task_tracking costs a worker: its throughput with it, with it switched off, without;
and of each task while the database is away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from report import Line, Target
from support.applications.packages import folder_of
from support.docker import provide_images
from support.docker.command import docker
from support.running.collection import clean_environment
from support.servers import Database, PostgreSQL
from support.servers.base import with_driver
from support.tracking import tracking_path
from support.tracking.package import SITECUSTOMIZE
from support.waiting import wait_until

_REDIS = "6.4.0"
_WARM = 2_000
_HANDLERS = "handlers"
_LIMIT = 0.001  # seconds
_RECORDED = "SELECT count(*) FROM task_logs WHERE status = 'SUCCESS'"
_HERE = Path(__file__).parent
_PROGRAM = """
import sys
from idle_application import app, mark, nothing
with app.producer_pool.acquire(block=True) as producer:
    for task, number, name in ((nothing, WARM, ""), (mark, 1, "begin"), (nothing, COUNT, ""), (mark, 1, "end")):
        for _ in range(number):
            task.apply_async((name,) if name else (), producer=producer)
"""

ABSENT, OFF, ON = "not installed", "switched off", "on"


def measure(tasks: int, rounds: int) -> Iterator[Line]:
    """Alternate between the three, so that whatever else the machine does meets each of them."""
    images = provide_images()
    with _redis(images.redis) as broker, PostgreSQL(settings={"autovacuum": "on"}) as server:
        found: dict[str, list[float]] = {ABSENT: [], OFF: [], ON: []}
        for number in range(rounds):
            order: Sequence[str] = list(found) if number % 2 else list(reversed(found))
            for way in order:
                database = server.new_database()
                found[way].append(_throughput(way, broker, database, tasks))
                database.drop()
                print(f"  round {number + 1}: {way}: {found[way][-1]:.0f}", flush=True)
        base = median(found[ABSENT])
        for way in (ON, OFF):
            here = median(found[way])
            yield Line(
                f"tasks that do nothing, tracking {way}",
                f"{here:.0f} a second",
                ABSENT,
                f"{base:.0f} a second",
                here / base,
                Target(at_least=0.95),
            )
        yield from _away(broker, server, tasks)


def _away(broker: str, server: PostgreSQL, tasks: int) -> Iterator[Line]:
    """Measure what the recorder's handlers take of each task in the worker while the database is away."""
    database = server.new_database()
    server.halt()
    try:
        with _working(ON, broker, database, tasks, with_handlers=True) as folder:
            times = [int(line) / 1e9 for line in (folder / _HANDLERS).read_text().splitlines()][_WARM:]
    finally:
        server.resume()
        database.drop()
    for what, value in (("median", median(times)), ("p99", quantiles(times, n=100)[98])):
        yield Line(
            f"{what} of the recorder's time of a task, database away",
            f"{value * 1e6:.0f} µs",
            "the limit",
            f"{_LIMIT * 1e6:.0f} µs",
            value / _LIMIT,
            Target(at_most=1.0),
        )


@contextmanager
def _redis(image: str) -> Iterator[str]:
    container = docker("run", "--detach", "--rm", image).strip()
    try:
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        address = docker("inspect", f"--format={form}", container).strip()
        wait_until(lambda: "PONG" in docker("exec", container, "redis-cli", "ping"))
        yield f"redis://{address}:6379/0"
    finally:
        docker("rm", "--force", container)


def _throughput(way: str, broker: str, database: Database, tasks: int) -> float:
    with _working(way, broker, database, tasks) as folder:
        if way == ON:
            # Where the tasks take all there is of the machine, the writer may be behind them.
            wait_until(lambda: database.scalar(_RECORDED) == _WARM + tasks + 2, seconds=120)
        begin, end = (float((folder / mark).read_text()) for mark in ("begin", "end"))
        return tasks / (end - begin)


@contextmanager
def _working(way: str, broker: str, database: Database, tasks: int, with_handlers: bool = False) -> Iterator[Path]:
    """A worker that has done all tasks; the folder of what was noted meanwhile."""
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as name:
        folder = Path(name)
        plain = [_HERE, folder_of("redis", _REDIS)]
        tracked = [SITECUSTOMIZE, tracking_path()] if way != ABSENT else []
        environment = {
            "PYTHONPATH": os.pathsep.join(str(path) for path in [*tracked, *plain] if path),
            "BENCH_BROKER": broker,
            "BENCH_FOLDER": name,
            "C_FORCE_ROOT": "1",
        }
        if with_handlers:
            environment["BENCH_HANDLERS"] = str(folder / _HANDLERS)
        if way != ABSENT:
            environment["CELERY_TRACKING"] = "off" if way == OFF else "all"
            environment["CELERY_TRACKING_DATABASE_URL"] = with_driver(database.url).render_as_string(False)
        _publish(environment, tasks)
        with (folder / "log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "idle_application", "worker", "--pool=prefork",
                 "--concurrency=2", "--hostname=bench@bench"],
                cwd=name,
                env=clean_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            wait_until((folder / "end").exists, seconds=300)
            time.sleep(0.1)
            yield folder
        finally:
            worker.terminate()
            worker.wait(60)


def _publish(environment: dict[str, str], tasks: int) -> None:
    """Not tracked: what is measured is the worker."""
    program = f"WARM, COUNT = {json.dumps([_WARM, tasks])}\n{_PROGRAM}"
    off = clean_environment({**environment, "CELERY_TRACKING": "off"})
    subprocess.run([sys.executable, "-c", program], env=off, check=True, stdout=subprocess.DEVNULL)
