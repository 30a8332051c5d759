# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many bytes a table takes, against what the server itself says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.engine import purge, statistics
from support.running import ModuleRun
from support.servers import Database
from support.tables import create_django_celery_results, fill
from support.tables.rows import TASK_RESULT, task_results

ROWS = 2000


def _filled(database: Database) -> None:
    create_django_celery_results(database)
    # Too short for PostgreSQL to keep it out of the row.
    fill(database, TASK_RESULT, [task_results(ROWS, result='"' + "result " * 40 + '"')])


@pytest.fixture
def stats(make_database: Callable[..., Database]) -> dict[str, Any]:
    database = make_database(_filled)
    if database.kind == "mariadb":
        database.execute(f"ANALYZE TABLE {TASK_RESULT}")
    found: dict[str, Any] = statistics(database)["stats"]
    return found


def test_table_and_indexes_make_the_size(stats: dict[str, int]) -> None:
    assert stats["size_bytes"] == stats["table_bytes"] + stats["index_bytes"]
    # Each row has more than 280 bytes of result, and a task id in several indexes.
    assert 280 * ROWS < stats["table_bytes"] < 2000 * ROWS
    assert 32 * ROWS < stats["index_bytes"] < 2000 * ROWS


def test_postgresql_agrees_to_the_byte(postgresql_database: Database) -> None:
    _filled(postgresql_database)
    stats = statistics(postgresql_database)["stats"]
    assert stats["size_bytes"] == postgresql_database.scalar(f"SELECT pg_total_relation_size('{TASK_RESULT}')")
    assert stats["index_bytes"] == postgresql_database.scalar(f"SELECT pg_indexes_size('{TASK_RESULT}')")
    assert stats["estimates"] == ["dead_rows"]
    purge(postgresql_database)
    after = statistics(postgresql_database)["stats"]
    assert (after["total"], after["dead_rows"]) == (0, ROWS)


def test_partitions_count_with_their_table(
    postgresql_database: Database, fork_module: Callable[..., ModuleRun]
) -> None:
    database = postgresql_database
    database.execute(
        "CREATE TABLE task_logs (id BIGINT, task_name TEXT, status TEXT NOT NULL, created_at TIMESTAMP NOT NULL,"
        " PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at)"
    )
    database.execute("CREATE TABLE in_2020 PARTITION OF task_logs FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')")
    database.execute("CREATE TABLE others PARTITION OF task_logs DEFAULT")
    for first, created in ((1, "'2020-05-01'"), (2_001, "now()")):
        database.execute(
            "INSERT INTO task_logs SELECT number, 'crawl', 'SUCCESS', "
            f"{created} FROM generate_series({first}, {first + 1_999}) AS number"
        )
    size = database.scalar("SELECT pg_total_relation_size('in_2020') + pg_total_relation_size('others')")
    assert statistics(database, profile="task_logs")["stats"]["size_bytes"] == size > 0
    assert purge(database, profile="task_logs")["deleted"] == 2_000
    assert statistics(database, profile="task_logs")["stats"]["dead_rows"] == 2_000
    asked = {"database_url": database.url, "profile": "task_logs"}
    assert fork_module("results_vacuum", {**asked, "min_dead_percent": 51})["changed"] is False
    assert fork_module("results_vacuum", asked)["steps"] == ["VACUUM (ANALYZE)"]
    assert fork_module("results_vacuum", asked)["changed"] is False


def test_mariadb_says_that_it_estimates(mariadb_database: Database) -> None:
    _filled(mariadb_database)
    info = statistics(mariadb_database)
    assert info["stats"]["estimates"] == ["size_bytes", "table_bytes", "index_bytes"]
    assert any("Size: about" in line for line in info["report"])


def test_sqlite_counts_the_tables_own_pages(sqlite_database: Database) -> None:
    _filled(sqlite_database)
    sqlite_database.execute("CREATE TABLE other AS SELECT * FROM " + TASK_RESULT)
    stats = statistics(sqlite_database)["stats"]
    pages = sqlite_database.scalar("PRAGMA page_count") * sqlite_database.scalar("PRAGMA page_size")
    if stats["estimates"]:
        pytest.skip("this SQLite was built without dbstat")
    # The copy has as many bytes as the table, and they are not counted.
    assert stats["size_bytes"] < pages - stats["table_bytes"] * 0.8
