# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand tasks, of which none is missing, whatever happens to who writes them."""

from __future__ import annotations

import os
import signal

import psutil
from support.servers import Database
from support.tracking import TrackedWorker
from support.waiting import wait_until

NUMBER = 1_000


def _send(worker: TrackedWorker) -> set[str]:
    program = f"print('\\n'.join(add.delay(number, number).id for number in range({NUMBER})))"
    return set(worker.python(program).splitlines()[-NUMBER:])


def _succeeded(database: Database) -> set[str]:
    if not database.execute(_TABLE.get(database.kind, _TABLE["mariadb"])):
        return set()
    return {row[0] for row in database.execute("SELECT task_id FROM task_logs WHERE status = 'SUCCESS'")}


_TABLE = {
    "sqlite": "SELECT name FROM sqlite_master WHERE name = 'task_logs'",
    "postgresql": "SELECT 1 FROM information_schema.tables WHERE table_name = 'task_logs'",
    "mariadb": "SELECT 1 FROM information_schema.tables WHERE table_name = 'task_logs' AND table_schema = DATABASE()",
}


def _writer(worker: TrackedWorker) -> psutil.Process:
    children = psutil.Process(worker.process.pid).children(recursive=True)
    return next(child for child in children if "celery_tracking.process" in child.cmdline())


def test_none_of_a_thousand_is_missing(database: Database) -> None:
    with TrackedWorker(database.url) as worker:
        sent = _send(worker)
        worker.wait_for_journal(NUMBER, 120)
        worker.stop()
        ran = {entry["id"] for entry in worker.journal()}
        assert ran == sent
        assert _succeeded(database) == sent
        assert database.count("task_metadata") == NUMBER
        assert database.count("task_results") == NUMBER
        assert database.count("task_execution_history") == NUMBER
        # Each has its own result, not another's.
        wrong = database.execute("SELECT t.args, r.result FROM task_logs t JOIN task_results r ON r.task_id = t.id")
        assert all(int(result) == 2 * int(args.split(",")[1].strip(" )")) for args, result in wrong)


def test_a_writer_that_is_killed_gets_a_successor(postgresql_database: Database) -> None:
    """What it had read and not written is lost with it; the worker and all later records are not."""
    with TrackedWorker(postgresql_database.url) as worker:
        first = _writer(worker)
        os.kill(first.pid, signal.SIGKILL)
        (later,) = worker.send("add.si(1, 1)")
        wait_until(lambda: later in _succeeded(postgresql_database))
        assert _writer(worker).pid != first.pid


def test_a_worker_that_is_killed_is_offline(postgresql_database: Database) -> None:
    with TrackedWorker(postgresql_database.url) as worker:
        (task_id,) = worker.send("hold.si('never')")
        worker.wait_for_journal(1)
        writer = _writer(worker)
        worker.kill()
        psutil.wait_procs([writer], timeout=20)
        assert postgresql_database.execute("SELECT status FROM worker_status") == [("OFFLINE",)]
        assert postgresql_database.execute("SELECT task_id, status FROM task_logs") == [(task_id, "STARTED")]
