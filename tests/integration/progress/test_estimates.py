# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The number of rows to do, before they are done."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database as Opened
from ansible_collections.fleetops.celery.plugins.module_utils._engine.limits import parse_limits
from ansible_collections.fleetops.celery.plugins.module_utils._engine.pace import Pace
from ansible_collections.fleetops.celery.plugins.module_utils._engine.profiles import find_profile
from ansible_collections.fleetops.celery.plugins.module_utils._engine.purge import purge
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable
from ansible_collections.fleetops.celery.plugins.module_utils._engine.rules import parse_purge_rules
from support.servers import Database
from support.tables import create_processing_tasks, fill
from support.tables.rows import processing_rows

PROFILE = "processing_tasks"
RULES = [{"statuses": ["FAILURE"], "older_than": "7d"}, {"statuses": ["SUCCESS"], "older_than": "30d"}]
MATCHING, OTHERS = 6_000, 4_000


def _tasks(database: Database) -> None:
    create_processing_tasks(database)
    rows = [processing_rows(MATCHING, "SUCCESS", 40), processing_rows(OTHERS, "SUCCESS", 2)]
    fill(database, PROFILE, rows, order_by="created_at")
    if database.kind != "sqlite":
        database.execute(f"ANALYZE {'TABLE ' * (database.kind == 'mariadb')}{PROFILE}")


@pytest.fixture
def tasks(make_database: Callable[..., Database]) -> Database:
    return make_database(_tasks)


def _paces(database: Database, by_status: bool = False, **limits: object) -> list[Pace]:
    paces: list[Pace] = []
    with Opened(database.url) as opened:
        record = RecordTable(opened, find_profile(PROFILE))
        rules = parse_purge_rules(RULES)
        purge(opened, record, rules, parse_limits(limits), by_status=by_status, watch=paces.append)
    return paces


def test_an_estimate(tasks: Database) -> None:
    paces = _paces(tasks, batch_size=1_000)
    assert (paces[0].done, paces[-1].done) == (0, MATCHING)
    assert [pace.done for pace in paces] == sorted(pace.done for pace in paces)
    (matched,) = {pace.matched for pace in paces}
    if tasks.kind == "sqlite":
        assert matched is None
    else:
        assert matched is not None
        assert 0.5 * MATCHING < matched < 2 * MATCHING
        assert paces[0].estimated


def test_a_count_where_rows_are_counted_anyway(tasks: Database) -> None:
    assert {(pace.matched, pace.estimated) for pace in _paces(tasks, by_status=True)} == {(MATCHING, False)}


def test_no_more_than_max_rows(tasks: Database) -> None:
    assert {pace.matched for pace in _paces(tasks, max_rows=500)} == {500}
