# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving space back with pg_repack, where the extension is in the database and its program on this host.

It copies the table beside its readers and writers, and locks it for a moment at the beginning and the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from .bloat import NORMALLY_EMPTY, WORTH_BYTES, table_free_percent
from .database import Database
from .disk import free_disk
from .errors import DatabaseError
from .holders import snapshot_holders
from .libraries import sa
from .reclaim_plan import Plan, Request, Step
from .records import RecordTable
from .sizes import Size, qualified, table_size

_PROGRAM = "pg_repack"


def find_repack(database: Database) -> str | None:
    """Return the program, if this host has the one that fits the extension in the database."""
    program = shutil.which(_PROGRAM)
    if program is None or not database.value(sa.text("SELECT 1 FROM pg_extension WHERE extname = 'pg_repack'")):
        return None
    told = _run([program, "--version"], {}).stdout
    try:
        version = database.value(sa.text("SELECT repack.version()"))
    except DatabaseError:
        return None  # it is not for this user
    # "pg_repack 1.4.8" in both places: each refuses to work with another version of the other.
    return program if told.split() == str(version).split() else None


def plan_repack(database: Database, record: RecordTable, request: Request, size: Size, program: str) -> Plan:
    """Return the plan to copy the table, or one without a step whose notes say why that would not do."""
    free = table_free_percent(database, record.table, request.expected)
    copy = int(size.table_bytes * (1 - free / 100)) + size.index_bytes
    if free < max(request.least, NORMALLY_EMPTY) or size.table_bytes * free / 100 < WORTH_BYTES:
        return Plan()
    if not record.primary_key:
        return Plan(notes=[f"pg_repack needs a primary key, which {record.name} lacks"])
    holders = snapshot_holders(database)
    if holders:
        # It would wait for them however long they last.
        return Plan(notes=[f"pg_repack was left out: it would wait for {holders[0].describe()}"])
    room = free_disk(database, record.table)
    if room is not None and room < copy:
        return Plan(notes=[f"pg_repack was left out: its copy takes about {copy:,} bytes, the disk has {room:,} free"])

    def run() -> str:
        _repack(database, record, program)
        after = table_size(database, record.table)
        return (
            "" if after.size_bytes < size.size_bytes else "pg_repack gained nothing: the table was in use all the time"
        )

    return Plan([Step(_PROGRAM, run, order=1, decides=True)], copy_bytes=copy)


def _repack(database: Database, record: RecordTable, program: str) -> None:
    table = qualified(database, record.table)
    # Without the first it would end the sessions that are in its way. The last leaves it to the server who may do what.
    options = ["--no-kill-backend", "--no-password", "--no-superuser-check", "--elevel=WARNING"]
    done = _run([program, f"--table={table}", *options], database.client_environment())
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = next((line for line in lines if line.startswith("ERROR")), " ".join(lines[:1]))
        raise DatabaseError(database.scrub(f"pg_repack failed on {record.name}: {said}"))


def _run(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # pylint: disable=ansible-bad-function
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
