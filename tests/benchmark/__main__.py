# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the purge and the modules: `make bench`, or with fewer rows `make bench ARGS=--quick`.

`make bench ARGS='--deployments 10'` measures migrate and doctor instead, on so many Compose projects;
`make bench ARGS=--mariadb` the purge on MariaDB, against pt-archiver, which is part of the whole too;
`make bench ARGS=--growth` how the purge's time grows up to ten million rows; that needs 25 GB of disk;
`make bench ARGS=--tracking` what the recorder of the role task_tracking costs a worker, and a task while
the database is away; that needs Docker.

`--roomy`, for the whole or beside `--growth`, gives PostgreSQL a quarter of the memory, and time and space to go
without a checkpoint, in place of the settings that it is installed with.

`--picture FILE`, beside any of these, draws the lines as bars, too.

Ratios are what counts; times differ from machine to machine, and mean little on one that is busy. Nothing here fails
because of a number: the table says which targets are met.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The parts that tests and demonstration use, too.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "tools"))

import archives
import deployments
import docker_engine
import growth
import mariadb
import picture
import records
import report
import sqlalchemy
import subjects
import tracking
from server import DurablePostgreSQL
from support.docker import docker
from support.missing import MissingPart
from support.servers import Database, DatabaseServer

ROWS = (500_000, subjects.ACCEPTANCE, 2_000_000)
QUICK_ROWS = 50_000
LISTENED_ROWS = 200_000
MEMORY_ROWS = (100_000, 1_000_000)
SMALL_TABLE = 1_000
MARIADB_ROWS = (300_000, subjects.ACCEPTANCE)
GROWTH_ROWS = (100_000, 1_000_000, 10_000_000)
TRACKED_TASKS = 40_000


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = f"sizes of tables in place of {ROWS}, and of {MARIADB_ROWS} on MariaDB"
    parser.add_argument("--rows", type=int, nargs="+", help=sizes)
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is measured (%(default)s)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS:,} rows at most, to see that all of it runs")
    parser.add_argument("--roomy", action="store_true", help="PostgreSQL as on a machine of its own")
    parser.add_argument("--deployments", type=int, metavar="NUMBER", help="measure on running deployments, only")
    parser.add_argument("--mariadb", action="store_true", help="measure on MariaDB, only")
    parser.add_argument("--growth", action="store_true", help=f"measure growth over {GROWTH_ROWS} rows, only")
    parser.add_argument("--tracking", action="store_true", help="measure the recorder, only")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the lines, as .svg, .png or .pdf")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def _filled(server: DatabaseServer, rows: int) -> Iterator[Database]:
    _say(f"{rows:,} rows …")
    database = server.new_database()
    try:
        records.make(database, rows)
        yield database
    finally:
        database.drop()


def _measure(server: DurablePostgreSQL, options: argparse.Namespace) -> Iterator[report.Line]:
    most = QUICK_ROWS if options.quick else sys.maxsize
    with _filled(server, SMALL_TABLE) as template:
        yield from subjects.modules(server, template, times=3 if options.quick else 10)
    few, many = MEMORY_ROWS
    few = min(few, most // 10)
    sizes = options.rows or sorted({min(rows, most) for rows in ROWS})
    with _filled(server, few) as small:
        for rows in sizes:
            with _filled(server, rows) as template:
                yield from subjects.speed(server, template, rows, options.rounds)
                if rows == min(many, most):
                    yield from subjects.memory(server, small, template, (few, rows))
                    yield from archives.archiving(server, small, template, (few, rows), options.rounds)
                    yield from subjects.reclaiming(server, template, rows, options.rounds)
                if rows == max(sizes):
                    yield from subjects.writing(server, template, rows, options.rounds)
    rows = min(LISTENED_ROWS, most)
    with _filled(server, rows) as template:
        yield from subjects.listeners(server, template, rows, options.rounds)


def _grow(server: DurablePostgreSQL, options: argparse.Namespace) -> Iterator[report.Line]:
    sizes = sorted(options.rows or GROWTH_ROWS)
    needed = sizes[-1] * growth.DISK_OF_A_ROW
    free = shutil.disk_usage(server.folder).free
    if free < needed:
        raise MissingPart(f"{sizes[-1]:,} rows need {needed:,} bytes of disk, and {free:,} are free in {server.folder}")
    times = {}
    for rows in sizes:
        with _filled(server, rows) as template:
            times[rows] = growth.seconds_of(server, template, options.rounds)
    yield from growth.exponents(times)


def _on_mariadb(server: mariadb.DurableMariaDB, options: argparse.Namespace) -> Iterator[report.Line]:
    for rows in [QUICK_ROWS] if options.quick else options.rows or MARIADB_ROWS:
        with _filled(server, rows) as template:
            yield from mariadb.purging(server, template, rows, options.rounds)


def _on_docker(options: argparse.Namespace) -> Iterator[report.Line]:
    if options.deployments:
        yield from deployments.measure(options.deployments, options.rounds)
    if options.tracking:
        yield from tracking.measure(TRACKED_TASKS // 20 if options.quick else TRACKED_TASKS, options.rounds)


def _told(lines: Iterator[report.Line]) -> list[report.Line]:
    """Tell each line when it is known."""
    told = []
    for line in lines:
        told.append(line)
        _say("  " + "  ".join(line.cells))
    return told


def main() -> int:
    options = _options()
    began = time.monotonic()
    load = os.getloadavg()[0]
    try:
        if options.deployments or options.tracking:
            docker_engine.start()
            version = "Docker " + docker("version", "--format={{.Server.Version}}").strip()
            lines = _told(_on_docker(options))
        else:
            versions, lines = [], []
            if not options.mariadb:
                with DurablePostgreSQL(roomy=options.roomy) as server:
                    versions.append(f"PostgreSQL {server.version()}")
                    lines += _told((_grow if options.growth else _measure)(server, options))
            if not options.growth:
                with mariadb.DurableMariaDB() as other:
                    versions.append(other.version())
                    lines += _told(_on_mariadb(other, options))
            version = ", ".join(versions)
    except (MissingPart, docker_engine.NoDocker) as missing:
        _say(str(missing))
        return 1
    _say(
        f"\n{report.table(lines)}\n\n"
        f"{version}, Python {platform.python_version()}, SQLAlchemy {sqlalchemy.__version__}, "
        f"{os.cpu_count()} processors with a load of {load:.1f} at the start; "
        f"medians of {options.rounds}, {time.monotonic() - began:.0f} s in all"
    )
    if options.picture:
        picture.draw(lines, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
