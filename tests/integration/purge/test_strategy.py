# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewriting a table of which most goes, emptying it at once, and falling back to batches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from support.engine import by_rule, purge, purge_behind_a_reader
from support.running import ModuleRun
from support.servers import Database
from support.tables import create_celery_tables, create_django_celery_results, create_task_logs, fill
from support.tables.rows import TASK_RESULT, task_results
from support.waiting import someone_waits, wait_until

OLD, YOUNG = 50_000, 5_000
EVERYTHING = [{"all": True}]


@pytest.fixture
def results(postgresql_database: Database) -> Database:
    create_django_celery_results(postgresql_database)
    fill(
        postgresql_database,
        TASK_RESULT,
        [task_results(OLD, days=10), task_results(YOUNG, days=1), task_results(7, "REVOKED", days=1)],
    )
    postgresql_database.execute(f"ANALYZE {TASK_RESULT}")
    return postgresql_database


def _identity(database: Database) -> dict[str, Any]:
    """All that belongs to the table beside its rows."""
    catalog = {
        "oid": "SELECT oid, relacl::text, relreplident FROM pg_class WHERE relname = :name",
        "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :name ORDER BY 1",
        "constraints": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = to_regclass(:name) ORDER BY 1",
        "columns": "SELECT attname, atttypid, attidentity, attstattarget FROM pg_attribute"
        " WHERE attrelid = to_regclass(:name) ORDER BY attnum",
        "publications": "SELECT pubname FROM pg_publication_tables WHERE tablename = :name",
    }
    return {what: database.execute(statement, name=TASK_RESULT) for what, statement in catalog.items()}


def _rows(database: Database) -> list[tuple[Any, ...]]:
    return database.execute(f"SELECT * FROM {TASK_RESULT} WHERE date_done > now() - interval '5 days' ORDER BY id")


def test_a_table_of_which_most_goes_is_rewritten_and_stays_itself(results: Database) -> None:
    results.execute(f"GRANT SELECT ON {TASK_RESULT} TO viewer")
    results.execute(f"COMMENT ON INDEX {_index(results)} IS 'kept as it is'")
    results.execute(f"CREATE INDEX \"odd % : index\" ON {TASK_RESULT} (worker) WHERE worker LIKE 'a:b%'")
    computed = "ADD length INTEGER GENERATED ALWAYS AS (length(task_id)) STORED, ALTER id SET GENERATED ALWAYS"
    results.execute(f"ALTER TABLE {TASK_RESULT} {computed}")
    identity = _identity(results)
    staying = [row for row in _rows(results) if "REVOKED" not in row]
    size = results.scalar(f"SELECT pg_total_relation_size('{TASK_RESULT}')")
    planned = purge(results, exclusive_lock=30, check=True)
    assert (planned["strategy"], planned["strategy_reason"]) == ("rewrite", None)
    done = purge(results, exclusive_lock=30)
    assert (done["strategy"], done["strategy_reason"], done["stopped"]) == ("rewrite", None, "drained")
    assert by_rule(done) == {"old": (OLD, OLD), "revoked": (7, 7)}
    assert (done["deleted"], done["remaining"], done["batches"]) == (OLD + 7, 0, 1)
    assert _rows(results) == staying
    assert len(staying) == YOUNG
    assert _identity(results) == identity
    assert results.scalar(f"SELECT pg_total_relation_size('{TASK_RESULT}')") < size / 4
    # The sequence goes on where it was.
    fill(results, TASK_RESULT, [task_results(1, days=0)])
    assert results.scalar(f"SELECT max(id) FROM {TASK_RESULT}") == OLD + YOUNG + 8
    again = purge(results, exclusive_lock=30)
    assert (again["changed"], again["strategy"]) == (False, "batches")


def _index(database: Database) -> str:
    return str(database.scalar("SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%(date_done)%'"))


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (f"DELETE FROM {TASK_RESULT} WHERE id < 10000", "it has only"),
        (f"UPDATE {TASK_RESULT} SET date_done = now() WHERE id < 30000", "rows stay"),
        (f"ALTER TABLE {TASK_RESULT} ENABLE ROW LEVEL SECURITY", "row security"),
        (f"CREATE TABLE pointing (id BIGINT REFERENCES {TASK_RESULT})", "foreign keys point at it"),
        (
            f"CREATE TRIGGER kept BEFORE INSERT ON {TASK_RESULT} FOR EACH ROW"
            " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "it has triggers",
        ),
        *(
            (f"CREATE PUBLICATION told FOR TABLE {TASK_RESULT} WITH (publish = '{told}')", "a publication of it")
            for told in ("insert, update, delete", "delete, truncate", "insert, update, truncate")
        ),
    ],
)
def test_it_falls_back_to_batches_and_says_why(results: Database, prepare: str, reason: str) -> None:
    results.execute(prepare)
    rows = results.count(TASK_RESULT)
    done = purge(results, exclusive_lock=30)
    assert (done["strategy"], done["stopped"]) == ("batches", "drained")
    assert reason in done["strategy_reason"]
    assert any(line.startswith("  In batches, for ") for line in done["report"])
    assert results.count(TASK_RESULT) == rows - done["deleted"]
    assert done["deleted"] > YOUNG


def test_a_view_that_needs_the_primary_key_keeps_it(results: Database) -> None:
    results.execute(f"CREATE VIEW grouped AS SELECT id, task_id FROM {TASK_RESULT} GROUP BY id")
    done = purge(results, exclusive_lock=30)
    assert (done["strategy"], done["stopped"]) == ("rewrite", "drained")
    assert results.scalar("SELECT count(*) FROM grouped") == YOUNG


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        ("SELECT 1", "few rows stay, but no exclusive_lock allows to lock others out while they are kept"),
        (f"UPDATE {TASK_RESULT} SET date_done = now() WHERE id < 30000", None),
        (f"CREATE TABLE pointing (id BIGINT REFERENCES {TASK_RESULT})", None),
    ],
)
def test_where_nobody_may_be_locked_out_it_says_that_a_rewrite_would_pay(
    results: Database, prepare: str, reason: str | None
) -> None:
    results.execute(prepare)
    assert purge(results, check=True)["strategy_reason"] is None
    for check in (True, False):
        done = purge(results, auto=True, check=check)
        assert (done["strategy"], done["strategy_reason"]) == ("batches", reason)
        assert any(line.startswith("  In batches, for few rows stay") for line in done["report"]) is bool(reason)
    assert done["stopped"] == "drained"


def test_what_a_definition_does_not_tell_of_an_index_is_kept(results: Database) -> None:
    key = f"{TASK_RESULT}_pkey"
    full = f"ADD CONSTRAINT {key} PRIMARY KEY (id) WITH (fillfactor = 70)"
    results.execute(f"ALTER TABLE {TASK_RESULT} DROP CONSTRAINT {key}, {full}")
    results.execute(f"CREATE INDEX by_length ON {TASK_RESULT} (length(task_id))")
    results.execute("ALTER INDEX by_length ALTER COLUMN 1 SET STATISTICS 500")
    told = (
        f"SELECT reloptions, (SELECT attstattarget FROM pg_attribute WHERE attrelid = 'by_length'::regclass)"
        f" FROM pg_class WHERE relname = '{key}'"
    )
    assert results.execute(told) == [(["fillfactor=70"], 500)]
    assert purge(results, exclusive_lock=30)["strategy"] == "rewrite"
    assert results.execute(told) == [(["fillfactor=70"], 500)]


@pytest.mark.parametrize(("wanted", "parts"), [(100, 10), (5, 5)])
def test_the_planner_knows_the_ages_of_what_stays(results: Database, wanted: int, parts: int) -> None:
    results.execute(f"UPDATE {TASK_RESULT} SET date_done = date_done + id * interval '1 second' WHERE id > {OLD}")
    results.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {results.name} SET default_statistics_target = {wanted}")
    assert purge(results, exclusive_lock=30)["strategy"] == "rewrite"
    bounds = "array_length(CAST(CAST(histogram_bounds AS text) AS timestamptz[]), 1)"
    ages = f"SELECT {bounds} FROM pg_stats WHERE tablename = :name AND attname = 'date_done'"
    assert results.scalar(ages, name=TASK_RESULT) == parts + 1
    half = f"SELECT FROM {TASK_RESULT} WHERE date_done < now() - interval '{86_400 - OLD - YOUNG // 2} seconds'"
    plan = results.scalar(f"EXPLAIN (FORMAT JSON) {half}")[0]["Plan"]
    assert plan["Plan Rows"] == pytest.approx(YOUNG / 2, rel=0.1)


def test_what_the_server_refuses_is_done_in_batches(results: Database) -> None:
    fussy = "CREATE OR REPLACE FUNCTION fussy(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN {0}; END'"
    results.execute(fussy.format("RETURN $1"))
    results.execute(f"CREATE INDEX by_fussy ON {TASK_RESULT} (fussy(task_id))")
    results.execute(fussy.format("RAISE EXCEPTION ''not today''"))
    done = purge(results, exclusive_lock=30)
    assert (done["strategy"], done["stopped"], results.count(TASK_RESULT)) == ("batches", "drained", YOUNG)
    assert "not today" in done["strategy_reason"]


def test_old_rows_that_are_unfinished_or_not_dated_stay(results: Database) -> None:
    nullable = ", ".join(f"ALTER {name} DROP NOT NULL" for name in ("date_done", "date_created", "status"))
    results.execute(f"ALTER TABLE {TASK_RESULT} {nullable}")
    results.execute(f"UPDATE {TASK_RESULT} SET status = 'PENDING' WHERE id <= 10")
    results.execute(f"UPDATE {TASK_RESULT} SET status = NULL WHERE id BETWEEN 11 AND 20")
    results.execute(f"UPDATE {TASK_RESULT} SET date_done = NULL, date_created = NULL WHERE id BETWEEN 21 AND 30")
    done = purge(results, exclusive_lock=30)
    assert (done["strategy"], done["stopped"]) == ("rewrite", "drained")
    assert by_rule(done) == {"old": (OLD - 30, OLD - 30), "revoked": (7, 7)}
    assert results.execute(f"SELECT id FROM {TASK_RESULT} WHERE id <= {OLD} ORDER BY id") == [
        (number,) for number in range(1, 31)
    ]


def test_a_row_in_a_status_that_came_before_the_lock_stays(results: Database) -> None:
    def write() -> None:
        with results.begin() as connection:
            connection.execute(sa.text(f"UPDATE {TASK_RESULT} SET status = 'RETRY' WHERE id = 9"))
            holding.set()
            wait_until(lambda: someone_waits(results))

    holding = threading.Event()
    writer = threading.Thread(target=write)
    writer.start()
    holding.wait()
    done = purge(results, exclusive_lock=30, lock_timeout=30)
    writer.join()
    assert (done["strategy"], done["deleted"]) == ("rewrite", OLD + 6)
    assert results.execute(f"SELECT status FROM {TASK_RESULT} WHERE id = 9") == [("RETRY",)]


@pytest.mark.parametrize("limit", [{"max_rows": 100}, {"time_budget": "1h"}])
def test_limits_need_batches(results: Database, limit: dict[str, Any]) -> None:
    done = purge(results, exclusive_lock=30, **limit)
    assert (done["strategy"], done["strategy_reason"]) == ("batches", "max_rows and time_budget need batches")


def test_others_are_not_locked_out_for_long(results: Database) -> None:
    engine = results.engine()
    with engine.connect() as reader, reader.begin():
        reader.execute(sa.text(f"SELECT count(*) FROM {TASK_RESULT}"))
        held = purge(results, exclusive_lock=30)
        reader.rollback()
    engine.dispose()
    assert (held["strategy"], held["strategy_reason"]) == ("batches", "other sessions held the table")
    assert held["deleted"] == OLD + 7


def test_to_wait_for_the_lock_keeps_others_out_as_well(results: Database) -> None:
    engine = results.engine()
    with engine.connect() as reader, reader.begin():
        reader.execute(sa.text(f"SELECT count(*) FROM {TASK_RESULT}"))
        done = purge_behind_a_reader(results, TASK_RESULT)
        reader.rollback()
    engine.dispose()
    assert (done["strategy"], done["deleted"]) == ("batches", OLD + 7)
    assert "for too long" in done["strategy_reason"]


@pytest.mark.parametrize("allowed", [0, 0.02])
def test_a_rewrite_that_takes_too_long_changes_nothing_and_batches_do_it(results: Database, allowed: float) -> None:
    done = purge(results, exclusive_lock=allowed)
    assert (done["strategy"], done["deleted"]) == ("batches", OLD + 7)
    assert "for too long" in done["strategy_reason"]
    assert results.count(TASK_RESULT) == YOUNG


def test_everything_goes_at_once(results: Database) -> None:
    identity = _identity(results)
    done = purge(results, EVERYTHING, confirm=TASK_RESULT)
    assert (done["strategy"], done["deleted"], done["stopped"]) == ("truncate", OLD + YOUNG + 7, "drained")
    assert done["after"]["total"] == 0
    assert done["after"]["size_bytes"] < 200_000
    assert _identity(results) == identity
    fill(results, TASK_RESULT, [task_results(1, days=0)])
    assert results.scalar(f"SELECT id FROM {TASK_RESULT}") == OLD + YOUNG + 8


def test_everything_goes_in_batches_where_it_must(results: Database) -> None:
    results.execute(f"CREATE TABLE pointing (id BIGINT REFERENCES {TASK_RESULT})")
    done = purge(results, EVERYTHING, confirm=TASK_RESULT)
    assert (done["strategy"], done["strategy_reason"]) == ("batches", "foreign keys point at it")
    assert (done["deleted"], results.count(TASK_RESULT)) == (OLD + YOUNG + 7, 0)


def test_child_tables_are_not_left_behind(postgresql_database: Database) -> None:
    create_task_logs(postgresql_database)
    done = purge(postgresql_database, EVERYTHING, profile="task_logs", confirm="task_logs")
    assert (done["strategy"], done["changed"]) == ("batches", False)


def test_sqlite_says_that_it_cannot(sqlite_database: Database) -> None:
    create_celery_tables(sqlite_database)
    done = purge(sqlite_database, EVERYTHING, profile="celery_database", confirm="celery_taskmeta")
    assert done["strategy_reason"] == (
        "only PostgreSQL, from version 12, and MariaDB, from 10.6, can do it and lose nothing"
    )


def test_the_module_rewrites_only_where_the_lock_is_allowed(
    run_module: Callable[..., ModuleRun], results: Database
) -> None:
    arguments = {"database_url": results.url, "strategy": "auto"}
    plan = run_module("results_purge", arguments, check=True)
    assert plan["strategy"] == "batches"
    assert "no exclusive_lock allows" in plan["strategy_reason"]
    bad = run_module("results_purge", {**arguments, "exclusive_lock": "long"})
    assert bad["failed"] is True
    assert "exclusive_lock: 'long' is not a duration" in bad["msg"]
    done = run_module("results_purge", {**arguments, "exclusive_lock": "30s"})
    assert (done["strategy"], done["deleted"], done["changed"]) == ("rewrite", OLD + 7, True)
