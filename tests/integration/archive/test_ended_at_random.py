# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hundred ends at random moments: each row is in the table or counts in an archive, and none is in both.

All the while a worker writes records that are too young to go.
"""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from support.archives import Held, counted, end_sessions, left, make_logs, settled
from support.archiving_program import archive
from support.servers import Database, PostgreSQL
from support.young_records import count_old_records, writing_young_records

MakeDatabase = Callable[..., Database]
#: More where one takes less time.
KILLS = {"sqlite": 90, "postgresql": 60, "mariadb": 30}
#: On each of the two servers that have connections.
LOST = 10
_RESTARTS = 3  #: of the lost connections, on the server that can be started again
_LONGEST = 0.1  #: seconds from the beginning of an archive to the end of its run
_PATIENCE = 30.0


def _begin(database: Database, folder: Path, for_two: bool) -> BaseProcess:
    """Let a fork of this process, which has imported everything, purge into *folder*; return once it archives.

    On PostgreSQL with a second session that reads, where it is *for_two*.
    """
    seen = len(list(folder.glob("*.manifest.json")))
    order = {"url": database.url, "path": str(folder), "profile": "task_logs", "batch_size": 20, "for_two": for_two}
    process = multiprocessing.get_context("fork").Process(target=archive, args=(order,))
    process.start()
    deadline = time.monotonic() + _PATIENCE
    while process.is_alive() and len(list(folder.glob("*.manifest.json"))) == seen:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return process


def test_killed(make_database: MakeDatabase, tmp_path: Path) -> None:
    chance = random.Random(4)
    database = make_database(make_logs)
    wanted, kills = KILLS[database.kind], 0
    while kills < wanted:
        rows = left(database)
        folder = tmp_path / str(kills)
        folder.mkdir()
        with writing_young_records(database):
            while kills < wanted and count_old_records(database):
                process = _begin(database, folder, for_two=kills % 2 == 0)
                time.sleep(chance.uniform(0, _LONGEST))
                process.kill()
                process.join()
                assert process.exitcode in (-signal.SIGKILL, 0)
                kills += process.exitcode == -signal.SIGKILL
        _see_that_all_is_kept(database, folder, rows)
        database = make_database(make_logs)


@pytest.mark.parametrize("database_server", ["postgresql", "mariadb"], indirect=True)
def test_cut_off(make_database: MakeDatabase, tmp_path: Path) -> None:
    chance = random.Random(10)
    lost = 0
    while lost < LOST:
        database = make_database(make_logs)
        rows = left(database)
        folder = tmp_path / str(lost)
        folder.mkdir()
        with writing_young_records(database):
            process = _begin(database, folder, for_two=lost % 2 == 0)
            while process.is_alive():
                time.sleep(chance.uniform(0, _LONGEST))
                if lost < LOST:
                    # One of them is the writer's.
                    lost += max(_cut_off(database, restart=lost >= LOST - _RESTARTS) - 1, 0)
            process.join()
        assert (process.exitcode, count_old_records(database)) == (0, 0)
        _see_that_all_is_kept(database, folder, rows)


def _see_that_all_is_kept(database: Database, folder: Path, rows: Held) -> None:
    held = settled(database, folder)
    assert Counter({row: number for row, number in held.items() if row in rows}) == rows
    assert counted(folder) <= rows


def _cut_off(database: Database, *, restart: bool) -> int:
    """End the sessions of others; return how many there were."""
    server = database.server
    if not restart or not isinstance(server, PostgreSQL):
        return end_sessions(database)
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    found = int(database.scalar(others))
    if found:
        server.halt()
        server.resume()
    return found
