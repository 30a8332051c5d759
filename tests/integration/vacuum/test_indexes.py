# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Indexes that are mostly empty are rebuilt, once; what failed builds left is dropped; others are left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from support.running import ModuleRun
from support.servers import Database, PostgreSQL
from support.servers.base import open_engine
from support.tables import Ago, Rows, UniqueText, create_celery_tables, dump, fill
from support.waiting import wait_until

RunModule = Callable[..., ModuleRun]
DAY = 86_400.0
OLD, NEW = 120_000, 40_000
NAMES = ["celery_taskmeta_pkey", "celery_taskmeta_task_id_key", "ix_celery_taskmeta_date_done"]
REINDEX = [f"REINDEX INDEX CONCURRENTLY {name}" for name in NAMES]


def _records(database: Database) -> None:
    create_celery_tables(database)
    row = {"task_id": UniqueText(), "status": "SUCCESS"}
    old, new = {**row, "date_done": Ago(60 * DAY, 30 * DAY)}, {**row, "date_done": Ago(5 * DAY, DAY)}
    fill(database, "celery_taskmeta", [Rows(OLD, old), Rows(NEW, new)])
    _vacuum(database)


def _vacuum(database: Database, url: str | None = None) -> None:
    engine = open_engine(url or database.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("VACUUM (ANALYZE) celery_taskmeta"))
    engine.dispose()


def _sizes(database: Database) -> dict[str, int]:
    return dict(
        database.execute(
            "SELECT c.relname, pg_relation_size(c.oid) FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid"
            " WHERE i.indrelid = to_regclass('celery_taskmeta')"
        )
    )


def _arguments(database: Database, mode: str = "auto", **others: Any) -> dict[str, Any]:
    return {"database_url": database.url, "profile": "celery_database", "mode": mode, **others}


@pytest.fixture
def records(postgresql: PostgreSQL) -> Iterator[Database]:
    database = postgresql.filled_database(_records, _records)[0]
    # A copy of a database is without the server's counts.
    _vacuum(database)
    yield database
    database.drop()


@pytest.fixture(params=["estimated", "measured"])
def judged(request: pytest.FixtureRequest) -> Iterator[tuple[Database, bool]]:
    """A database, and whether what is free of an index can be measured in it."""
    measured = request.param == "measured"
    server: PostgreSQL = request.getfixturevalue("packaged_postgresql" if measured else "postgresql")
    database = server.filled_database(_records, _records)[0]
    _vacuum(database)
    if measured:
        database.administer("CREATE EXTENSION pgstattuple", "GRANT pg_stat_scan_tables TO app")
    yield database, measured
    if measured:
        database.administer("REVOKE pg_stat_scan_tables FROM app")
    database.drop()


def test_a_purge_and_what_comes_after_it_are_foretold(judged: tuple[Database, bool], fork_module: RunModule) -> None:
    database, measured = judged
    matched = fork_module("results_purge", _without_mode(database), check=True)["matched"]
    assert matched == OLD
    foretold = fork_module("results_vacuum", _arguments(database, expected_dead_rows=matched), check=True)
    assert foretold["steps"] == ["VACUUM (ANALYZE)", *REINDEX]
    sizes = _sizes(database)

    assert fork_module("results_purge", _without_mode(database))["deleted"] == OLD
    rows = dump(database)
    plan = fork_module("results_vacuum", _arguments(database), check=True)
    assert (plan["steps"], plan["changed"]) == (foretold["steps"], True)
    assert _sizes(database) == sizes

    done = fork_module("results_vacuum", _arguments(database, expected_dead_rows=matched))
    assert (done["steps"], done["changed"], done["left_out"]) == (foretold["steps"], True, "")
    assert done["indexes"] == plan["indexes"]
    after = _sizes(database)
    assert sum(sizes.values()) - sum(after.values()) == done["reclaimed_bytes"]
    assert dump(database) == rows
    for index in done["indexes"]:
        assert index["estimate"] is not measured
        # What was said to be free has been free, give or take a twentieth of the index.
        freed = 100 * (1 - after[index["name"]] / sizes[index["name"]])
        assert index["free_percent"] == pytest.approx(freed, abs=5)
    assert any("pgstattuple would measure it" in note for note in done["notes"]) is not measured

    for mode in ("auto", "reindex", "vacuum"):
        again = fork_module("results_vacuum", _arguments(database, mode))
        assert (again["changed"], again["steps"]) == (False, [])
    assert _sizes(database) == after


def _without_mode(database: Database) -> dict[str, Any]:
    return {"database_url": database.url, "profile": "celery_database"}


def test_only_indexes_are_rebuilt_where_only_that_is_asked_for(records: Database, fork_module: RunModule) -> None:
    records.execute("DELETE FROM celery_taskmeta WHERE date_done < now() - interval '10 days'")
    _vacuum(records)
    for mode in ("vacuum", "analyze"):
        assert fork_module("results_vacuum", _arguments(records, mode), check=True)["steps"] == []
    plan = fork_module("results_vacuum", _arguments(records, "reindex"), check=True)
    assert plan["steps"] == REINDEX
    sizes = _sizes(records)
    done = fork_module("results_vacuum", _arguments(records, "reindex"))
    assert (done["steps"], done["changed"]) == (REINDEX, True)
    after = _sizes(records)
    assert all(after[name] < sizes[name] / 2 for name in NAMES)
    assert fork_module("results_vacuum", _arguments(records, "reindex"))["changed"] is False


def test_indexes_that_were_never_analyzed_are_judged_alike(
    postgresql_database: Database, fork_module: RunModule
) -> None:
    create_celery_tables(postgresql_database)
    row = {"task_id": UniqueText(), "status": "SUCCESS", "date_done": Ago(60 * DAY, DAY)}
    fill(postgresql_database, "celery_taskmeta", [Rows(OLD, row)])
    postgresql_database.execute("DELETE FROM celery_taskmeta WHERE id % 4 > 0")
    assert postgresql_database.scalar("SELECT count(*) FROM pg_stats WHERE tablename = 'celery_taskmeta'") == 0
    done = fork_module("results_vacuum", _arguments(postgresql_database))
    assert done["steps"][0] == "VACUUM (ANALYZE)"
    assert set(REINDEX) <= set(done["steps"])
    assert fork_module("results_vacuum", _arguments(postgresql_database))["changed"] is False


def test_half_empty_is_how_indexes_are(records: Database, fork_module: RunModule) -> None:
    # Keys in no order leave a quarter of the index of task ids free, and a fifth of the rows has gone.
    records.execute("DELETE FROM celery_taskmeta WHERE id % 5 = 0")
    _vacuum(records)
    judged = fork_module("results_vacuum", _arguments(records))
    assert (judged["changed"], judged["steps"]) == (False, [])
    assert {index["name"] for index in judged["indexes"]} == set(NAMES)
    assert all(10 < index["free_percent"] < 40 for index in judged["indexes"]), judged["indexes"]


def _fail_to_build(database: Database) -> None:
    """Two statuses are alike, so the build of a unique index fails at its end."""
    engine = database.engine(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.execute(sa.text("CREATE UNIQUE INDEX CONCURRENTLY one_each ON celery_taskmeta (status)"))
    engine.dispose()


def _fail_to_rebuild(database: Database) -> None:
    """A rebuild that is cancelled while it waits for an old transaction."""
    engine = database.engine(isolation_level="AUTOCOMMIT")
    old_engine = database.engine()
    with old_engine.connect() as old, engine.connect() as connection:
        old.execute(sa.text("DELETE FROM celery_taskmeta WHERE id = 1"))
        connection.execute(sa.text("SET lock_timeout = '200ms'"))
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("REINDEX INDEX CONCURRENTLY celery_taskmeta_pkey"))
        old.rollback()
    engine.dispose()
    old_engine.dispose()


INVALID = (
    "SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE NOT i.indisvalid ORDER BY 1"
)


def test_what_failed_rebuilds_left_is_dropped(records: Database, fork_module: RunModule) -> None:
    _fail_to_build(records)
    _fail_to_rebuild(records)
    records.execute("CREATE TABLE beside AS SELECT 1 AS status FROM generate_series(1, 2)")
    engine = records.engine(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.execute(sa.text("CREATE UNIQUE INDEX CONCURRENTLY of_another ON beside (status)"))
    engine.dispose()
    left = [("celery_taskmeta_pkey_ccnew",), ("of_another",), ("one_each",)]
    assert records.execute(INVALID) == left
    steps = [
        "DROP INDEX CONCURRENTLY celery_taskmeta_pkey_ccnew (unfinished)",
    ]
    plan = fork_module("results_vacuum", _arguments(records), check=True)
    assert (plan["steps"], plan["changed"]) == (steps, True)
    assert records.execute(INVALID) == left
    done = fork_module("results_vacuum", _arguments(records))
    assert (done["steps"], done["changed"]) == (steps, True)
    # A unique one keeps doubles out though it is not valid, and who made it has not asked for its end.
    assert done["notes"][0].startswith("one_each: left alone")
    assert records.execute(INVALID) == left[1:]
    assert fork_module("results_vacuum", _arguments(records))["changed"] is False


def test_an_index_in_the_making_is_left_alone(records: Database, fork_module: RunModule) -> None:
    def build() -> None:
        engine = records.engine(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text("CREATE INDEX CONCURRENTLY in_the_making ON celery_taskmeta (status)"))
        engine.dispose()

    engine = records.engine()
    with ThreadPoolExecutor() as pool, engine.connect() as old:
        old.execute(sa.text("DELETE FROM celery_taskmeta WHERE id = 1"))
        building = pool.submit(build)
        wait_until(lambda: records.execute(INVALID))
        done = fork_module("results_vacuum", _arguments(records))
        assert (done["changed"], done["steps"]) == (False, [])
        assert "in_the_making: left alone" in done["notes"][0]
        old.rollback()
        building.result()
    engine.dispose()
    assert records.execute(INVALID) == []
    assert "in_the_making" in _sizes(records)


def test_a_rebuild_that_has_to_wait_is_made_another_time(records: Database, fork_module: RunModule) -> None:
    records.execute("DELETE FROM celery_taskmeta WHERE date_done < now() - interval '10 days'")
    _vacuum(records)
    engine = records.engine()
    with engine.connect() as old:
        old.execute(sa.text("DELETE FROM celery_taskmeta WHERE id = (SELECT max(id) FROM celery_taskmeta)"))
        run = fork_module("results_vacuum", _arguments(records, "reindex"))
        assert (run["steps"], run["changed"]) == ([], False)
        assert f"{NAMES[0]} was not rebuilt: Another session holds a lock" in run["left_out"]
        # The same session keeps what the try left from being dropped, and would keep the other indexes waiting.
        assert f"{NAMES[0]}_ccnew is left unfinished; the next run drops it." in run["left_out"]
        assert records.execute(INVALID) == [(f"{NAMES[0]}_ccnew",)]
        old.rollback()
    engine.dispose()
    done = fork_module("results_vacuum", _arguments(records, "reindex"))
    assert done["steps"] == [f"DROP INDEX CONCURRENTLY {NAMES[0]}_ccnew (unfinished)", *REINDEX]
    assert records.execute(INVALID) == []
    assert fork_module("results_vacuum", _arguments(records, "reindex"))["changed"] is False
