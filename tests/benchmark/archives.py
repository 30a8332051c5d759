# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What archiving costs: against the purge without it, and against COPY through the same compression."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import contest
import programs
from programs import Measured
from records import HALF, TABLE
from report import Line, Target, mebibytes, seconds
from server import DurablePostgreSQL
from support.running.collection import clean_environment, link_checkout
from support.servers import Database
from ways import Way, purge

_COMPRESSIONS = ("gzip", "zstd")
_ALONE = "DELETE RETURNING, kept nowhere"
_OLD = f"FROM {TABLE} WHERE date_done < now() - interval '{HALF.rstrip('d')} days'"
NO_MORE_THAN = Target(at_most=2.5)
_NO_GROWTH = Target(at_most=1.15)


def archiving(
    server: DurablePostgreSQL, small: Database, template: Database, rows: tuple[int, int], rounds: int
) -> Iterator[Line]:
    """The purge into an archive against the purge alone, copying the rows alone, and what the server needs for both."""
    ways: dict[str, Way] = {"purge": purge, _ALONE: _return_deleted}
    for name in _COMPRESSIONS:
        ways[name] = into_archive(name)
        ways[f"COPY {name}"] = _copy(name)
    measured = contest.measure(server, template, ways, rounds, pinned=False)
    half = f"half of {rows[1]:,} rows"
    for name in _COMPRESSIONS:
        ours = measured[name]
        target = NO_MORE_THAN if name == "zstd" else None
        others = {
            "without an archive": measured["purge"],
            "COPY alone": measured[f"COPY {name}"],
            _ALONE: measured[_ALONE],
        }
        for against, other in others.items():
            yield Line(
                f"purge into {name}, {half}",
                seconds(ours.seconds),
                against,
                seconds(other.seconds),
                ours.seconds / other.seconds,
                target if other is measured["purge"] else None,
            )
    peaks = []
    for one in (small, template):
        with server.copy(one) as database:
            peaks.append(into_archive("zstd")(database).peak_bytes)
    few, many = peaks
    what = f"peak memory of the purge into zstd, {half}"
    yield Line(what, mebibytes(many), f"half of {rows[0]:,} rows", mebibytes(few), many / few, _NO_GROWTH)


def into_archive(compression: str) -> Way:
    def way(database: Database) -> Measured:
        environment = clean_environment({"PYTHONPATH": str(link_checkout())})
        with tempfile.TemporaryDirectory() as folder:
            archive = {"path": folder, "compression": compression}
            order = {"url": database.url, "older_than": HALF, "archive": archive}
            return programs.run("engine_program.py", environment, order)

    return way


def _return_deleted(database: Database) -> Measured:
    """One statement that deletes the rows and sends them, to nobody who would do anything with them."""
    with open(os.devnull, "wb") as nowhere:
        return _copied(database, f"DELETE {_OLD} RETURNING *", nowhere)


def _copy(compression: str) -> Way:
    """The rows that the purge archives, by COPY into the compression's own program at the same level."""
    command = {"gzip": ["gzip", "-1"], "zstd": ["zstd", "-1", "-q"]}[compression]

    def way(database: Database) -> Measured:
        with (
            tempfile.TemporaryDirectory() as folder,
            open(Path(folder, "copy"), "wb") as file,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file) as program,
        ):
            assert program.stdin is not None
            return _copied(database, f"SELECT * {_OLD}", program.stdin, program)

    return way


def _copied(
    database: Database, query: str, sink: IO[bytes], program: subprocess.Popen[bytes] | None = None
) -> Measured:
    """Copy what *query* returns into *sink*, and wait for the *program* behind it."""
    engine = database.engine()
    connection = engine.raw_connection()
    cursor = connection.cursor()
    began = time.perf_counter()
    cursor.copy_expert(f"COPY ({query}) TO STDOUT", sink)
    connection.commit()
    sink.close()
    if program is not None:
        program.wait()
    elapsed = time.perf_counter() - began
    copied = cursor.rowcount
    connection.close()
    engine.dispose()
    return Measured(elapsed, copied, elapsed)
