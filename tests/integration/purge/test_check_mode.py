# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode writes nothing: a role without the right to, or a server that counts every write, would show it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database
from support.tables import create_django_celery_results, dump, fill
from support.tables.rows import GROUP_RESULT, TASK_RESULT, group_results, task_results

RULES = [
    {"name": "newest", "statuses": ["SUCCESS"], "tasks": ["add"], "keep_last": 3, "older_than": "7d"},
    {"name": "revoked", "statuses": ["REVOKED"]},
]


def _filled(database: Database) -> None:
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(50), task_results(10, "REVOKED", 1), task_results(5, "STARTED", 90)])
    fill(database, GROUP_RESULT, [group_results(4)])


@pytest.fixture
def filled(make_database: Callable[..., Database]) -> Database:
    return make_database(_filled)


def test_nothing_is_written(filled: Database) -> None:
    before = dump(filled)
    for rules in (None, RULES, [{"all": True}]):
        plan = purge(filled, rules, check=True, confirm=TASK_RESULT)
        assert (plan["changed"], plan["deleted"], plan["batches"]) == (True, 0, 0)
    assert dump(filled) == before


def test_it_works_for_a_role_that_may_only_read(fork_module: Callable[..., ModuleRun], role_database: Database) -> None:
    _filled(role_database)
    arguments = {"database_url": role_database.viewer_url, "rules": RULES}
    plan = fork_module("results_purge", arguments, check=True, diff=True)
    assert (plan["changed"], plan["matched"]) == (True, 57), plan
    refused = fork_module("results_purge", arguments)
    assert (refused["failed"], refused["changed"]) == (True, False)


def test_postgresql_counts_no_write(postgresql_database: Database, fork_module: Callable[..., ModuleRun]) -> None:
    _filled(postgresql_database)
    versions = f"SELECT ctid, xmin, xmax, id FROM {TASK_RESULT} ORDER BY id"
    # A transaction that is rolled back would be counted here too, and its number spent.
    counters = f"SELECT n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE relname = '{TASK_RESULT}'"
    before = postgresql_database.execute(versions)
    arguments = {"database_url": postgresql_database.url, "rules": [{"statuses": ["*"]}]}
    # Statistics of a session arrive when it ends.
    counted = postgresql_database.execute(counters)
    assert fork_module("results_purge", arguments, check=True)["matched"] == 65
    assert postgresql_database.execute(counters) == counted
    assert postgresql_database.execute(versions) == before
    assert fork_module("results_purge", arguments)["deleted"] == 65
    assert postgresql_database.execute(counters)[0][2] == counted[0][2] + 65
