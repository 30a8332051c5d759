# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Behind a pooler that deals out sessions by the transaction, nothing is left in one that the application gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.archives import lines
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database, PostgreSQL
from support.servers.pgbouncer import PgBouncer, in_every_session
from support.tables import create_django_celery_results, fill
from support.tables.rows import TASK_RESULT, task_results

RunModule = Callable[..., ModuleRun]
ROWS = 20_000
DRIVERS = ["psycopg2", "psycopg"]
#: What the collection sets for itself.
SETTINGS = ("lock_timeout", "jit", "synchronous_commit", "default_transaction_read_only", "statement_timeout")


@pytest.fixture(params=DRIVERS)
def pooled(request: pytest.FixtureRequest, postgresql: PostgreSQL, pooler: PgBouncer) -> Iterator[Database]:
    """A database as an application knows it that reaches it through the pooler."""
    made = postgresql.new_database()
    create_django_celery_results(made)
    fill(made, TASK_RESULT, [task_results(ROWS, days=10), task_results(3, days=1)])
    yield pooler.through(made, driver=request.param)
    made.drop()


@contextmanager
def _nothing_left(database: Database) -> Iterator[None]:
    shown = "SELECT " + ", ".join(f"current_setting('{name}')" for name in SETTINGS)
    before = in_every_session(database, shown)
    yield
    assert in_every_session(database, shown) == before
    assert in_every_session(database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == {(0,)}
    write = f"UPDATE {TASK_RESULT} SET worker = 'w' WHERE id = (SELECT max(id) FROM {TASK_RESULT} WHERE id < 0)"
    in_every_session(database, f"{write} RETURNING id")


def test_modules_leave_nothing_in_the_sessions(pooled: Database, fork_module: RunModule) -> None:
    url = {"database_url": pooled.url}
    with _nothing_left(pooled):
        assert fork_module("results_info", url)["stats"]["total"] == ROWS + 3
    with _nothing_left(pooled):
        assert fork_module("results_purge", url, check=True)["matched"] == ROWS
    with _nothing_left(pooled):
        done = fork_module("results_purge", url)
        assert (done["deleted"], done["stopped"]) == (ROWS, "drained")
    with _nothing_left(pooled):
        # How many rows are dead, a session that stays open tells the server seconds later.
        assert "steps" in fork_module("results_vacuum", {**url, "mode": "vacuum"})
    with _nothing_left(pooled):
        assert fork_module("zombie_fail", url)["changed"] is False
        assert fork_module("results_purge", url)["changed"] is False


def test_in_check_mode_the_server_would_refuse_a_change(pooled: Database, fork_module: RunModule) -> None:
    with _nothing_left(pooled):
        # A function may change something, so the server is asked to run one where only reading is allowed.
        gates = {"condition": f"WITH gone AS (DELETE FROM {TASK_RESULT} RETURNING 1) SELECT count(*) > 0 FROM gone"}
        refused = fork_module("results_purge", {"database_url": pooled.url, "gates": gates})
        assert refused["failed"] is True
    assert pooled.count(TASK_RESULT) == ROWS + 3


def test_an_archive_has_what_was_deleted(pooled: Database, tmp_path: Path) -> None:
    with _nothing_left(pooled):
        done = purge(pooled, archive={"path": str(tmp_path), "compression": "gzip"}, batch_size=6_000)
    assert (done["deleted"], len(lines(tmp_path)), done["stopped"]) == (ROWS, ROWS, "drained")


def test_a_locked_row_is_waited_for_no_longer_than_said(pooled: Database) -> None:
    with pooled.begin() as holder:
        holder.exec_driver_sql(f"SELECT id FROM {TASK_RESULT} ORDER BY date_done LIMIT 1 FOR UPDATE")
        done = purge(pooled, lock_timeout=0.2)
        assert (done["deleted"], done["remaining"], done["stopped"]) == (ROWS - 1, 1, "gate")
