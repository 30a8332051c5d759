# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a purge waits for before its next batch."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database as Opened
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.gate_queries import ReplicaLag
from ansible_collections.fleetops.celery.plugins.module_utils._engine.gates import Gatekeeper, parse_gates
from ansible_collections.fleetops.celery.plugins.module_utils._engine.pace import Pace
from conftest import provide
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database, PostgreSQL
from support.servers.replica import Replica
from support.tables import create_django_celery_results, dump, fill
from support.tables.rows import TASK_RESULT, task_results
from support.waiting import someone_waits, wait_until

ROWS = 40


@pytest.fixture
def results(make_database: Callable[..., Database]) -> Database:
    database = make_database(create_django_celery_results)
    fill(database, TASK_RESULT, [task_results(ROWS, days=10)])
    database.execute("CREATE TABLE busy (number INTEGER)")
    return database


@pytest.fixture
def on_postgresql(postgresql_database: Database) -> Database:
    create_django_celery_results(postgresql_database)
    fill(postgresql_database, TASK_RESULT, [task_results(ROWS, days=10)])
    return postgresql_database


@pytest.fixture
def replicated() -> Iterator[tuple[PostgreSQL, Replica]]:
    # What commits without waiting for the log is not behind yet: a replica can only lack what is written there.
    with provide(lambda: PostgreSQL({"synchronous_commit": "local"})) as primary:
        replica = Replica(primary)
        yield primary, replica
        replica.stop()


@contextlib.contextmanager
def _held_up(database: Database, **gates: Any) -> Iterator[list[dict[str, Any]]]:
    """A purge that waits for its gates meanwhile; its outcome is there afterwards."""
    outcome: list[dict[str, Any]] = []
    paces: list[Pace] = []
    running = threading.Thread(target=lambda: outcome.append(purge(database, gates=gates, watch=paces.append)))
    running.start()
    wait_until(lambda: any(pace.held_by for pace in paces))
    yield outcome
    running.join()


def test_a_condition_holds_a_purge_up_until_it_is_met(results: Database) -> None:
    results.execute("INSERT INTO busy VALUES (1)")
    with _held_up(results, condition="SELECT count(*) = 0 FROM busy") as outcome:
        time.sleep(1.2)
        assert results.count(TASK_RESULT) == ROWS
        results.execute("DELETE FROM busy")
    (done,) = outcome
    assert (done["deleted"], done["stopped"]) == (ROWS, "drained")
    assert [pause["gate"] for pause in done["pauses"]] == ["condition"]
    assert done["pauses"][0]["seconds"] >= 1
    assert any(line.startswith("  Paused for ") and line.endswith(" by the gate condition") for line in done["report"])


def test_a_gate_that_stays_closed_ends_the_run_with_its_reason(results: Database) -> None:
    done = purge(results, gates={"condition": "SELECT 0", "patience": "1s"})
    assert (done["deleted"], done["stopped"], done["remaining"]) == (0, "gate", ROWS)
    assert "the condition" in done["stopped_reason"]
    done = purge(results, gates={"condition": "SELECT 0"}, time_budget="1s")
    assert (done["deleted"], done["stopped"]) == (0, "time_budget")


@pytest.mark.parametrize("check", [True, False], ids=["check", "do"])
@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("SELECT 'yes'", "but it returned a str"),
        ("SELECT NULL", "but it returned NULL"),
        ("SELECT 1, 2", "one number or truth value"),
        ("SELECT number FROM nowhere", "cannot be asked"),
        ("DELETE FROM busy", "cannot be asked"),
    ],
)
def test_a_condition_that_cannot_work_changes_nothing(
    results: Database, condition: str, words: str, check: bool
) -> None:
    results.execute("INSERT INTO busy VALUES (1)")
    before = dump(results)
    with pytest.raises(UsageError, match=words):
        purge(results, gates={"condition": condition}, check=check)
    assert dump(results) == before
    # Nor does it leave the connection unable to write.
    assert purge(results, gates={"condition": "SELECT 1"})["deleted"] == ROWS


def test_a_condition_that_fails_midway_says_what_was_done(results: Database) -> None:
    condition = f"SELECT CASE WHEN count(*) > 30 THEN 1 END FROM {TASK_RESULT}"
    with pytest.raises(UsageError, match=r"returned NULL.* Before that, \d+ rows were deleted and committed") as failed:
        purge(results, gates={"condition": condition}, batch_size=5, pause=1.1)
    assert failed.value.changed
    assert 0 < results.count(TASK_RESULT) < ROWS


def test_what_a_condition_says_is_handed_to_the_server_as_it_is(results: Database) -> None:
    condition = "SELECT count(*) = 0 FROM busy WHERE 'some :text %(here)s %s' LIKE '%some%' AND 17 % 10 = 7"
    assert purge(results, gates={"condition": condition})["deleted"] == ROWS


def test_who_watches_sees_what_it_waits_for(results: Database) -> None:
    paces: list[Pace] = []
    purge(results, gates={"condition": "SELECT 0", "patience": "1s"}, watch=paces.append)
    assert "condition" in {pace.held_by for pace in paces}


def test_hours_open_and_close_by_the_clock(results: Database) -> None:
    now = datetime.now()
    elsewhere = [(now + timedelta(hours=hours)).strftime("%H:%M") for hours in (2, 4)]
    began = time.monotonic()
    # Two hours are longer than its patience, so it need not wait to know.
    done = purge(results, gates={"hours": "-".join(elsewhere), "patience": "1h"})
    assert time.monotonic() - began < 5
    assert (done["deleted"], done["stopped"], done["pauses"]) == (0, "gate", [])
    assert "outside of" in done["stopped_reason"]
    # The other part of the day, which passes midnight.
    assert purge(results, gates={"hours": "-".join(reversed(elsewhere))})["deleted"] == ROWS


@pytest.mark.parametrize("hours", ["22", "3-3", "25-3", "3:61-4", "night", "24-0"])
def test_hours_that_never_open_are_refused(results: Database, hours: str) -> None:
    with pytest.raises(UsageError, match=r"gates\.hours"):
        purge(results, gates={"hours": hours})
    assert results.count(TASK_RESULT) == ROWS


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_migration_that_waits_for_the_table_goes_first(request: pytest.FixtureRequest, kind: str) -> None:
    database: Database = request.getfixturevalue(f"{kind}_database")
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(ROWS, days=10)])
    engine = database.engine()
    with engine.connect() as reader, reader.begin():
        reader.execute(sa.text(f"SELECT count(*) FROM {TASK_RESULT}"))
        alter = f"ALTER TABLE {TASK_RESULT} ADD COLUMN extra INTEGER"
        migration = threading.Thread(target=lambda: database.execute(alter))
        migration.start()
        wait_until(lambda: someone_waits(database) or not migration.is_alive())
        # Even to read the table, the purge would have to queue behind the migration.
        with Opened(database.url) as opened:
            closed = Gatekeeper(opened, sa.table(TASK_RESULT), parse_gates({"lock_waiters": True})).closed()
        assert closed is not None
        assert "wait for a lock" in closed[1]
        reader.rollback()
    migration.join()
    engine.dispose()
    assert purge(database, gates={"lock_waiters": True})["deleted"] == ROWS


def test_a_vacuum_on_the_table_goes_first(on_postgresql: Database) -> None:
    engine = on_postgresql.engine()
    with engine.connect() as other, other.begin():
        # The lock that VACUUM, ANALYZE and CREATE INDEX CONCURRENTLY take.
        other.execute(sa.text(f"LOCK TABLE {TASK_RESULT} IN SHARE UPDATE EXCLUSIVE MODE"))
        done = purge(on_postgresql, gates={"vacuum": True, "patience": "1s"})
        assert (done["deleted"], done["stopped"]) == (0, "gate")
        assert "a VACUUM" in done["stopped_reason"]
    engine.dispose()
    assert purge(on_postgresql, gates={"vacuum": True})["deleted"] == ROWS


def test_the_lag_of_replicas_is_asked_of_postgresql_alone(results: Database) -> None:
    if results.kind == "postgresql":
        assert purge(results, gates={"max_replica_lag": "10s"})["deleted"] == ROWS
    else:
        with pytest.raises(UsageError, match=r"gates\.max_replica_lag.*gates\.condition"):
            purge(results, gates={"max_replica_lag": "10s"})
        assert results.count(TASK_RESULT) == ROWS


def test_a_replica_that_falls_behind_holds_a_purge_up(replicated: tuple[PostgreSQL, Replica]) -> None:
    primary, replica = replicated
    database = primary.new_database()
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(ROWS, days=10)])
    with pytest.raises(UsageError, match="GRANT pg_monitor TO app"):
        purge(database, gates={"max_replica_lag": "1s"})
    with replica.paused():
        database.execute("CREATE TABLE behind (number INTEGER)")
        done = purge(database, gates={"max_replica_lag": "1s", "patience": "2s"}, url=database.admin_url)
        assert (done["deleted"], done["stopped"]) == (0, "gate"), done
        assert "a replica has yet to replay" in done["stopped_reason"]
    with Opened(database.admin_url) as opened:
        lag = ReplicaLag(opened)
        # Once the replica has told that it has caught up.
        wait_until(lambda: lag.measure() < timedelta(seconds=1))
        with replica.paused():
            database.execute("DROP TABLE behind")
            lag.measure()
            time.sleep(1.5)
            assert timedelta(seconds=1.5) <= lag.measure() < timedelta(seconds=60)
    done = purge(database, gates={"max_replica_lag": "1s"}, url=database.admin_url)
    assert (done["deleted"], done["stopped"]) == (ROWS, "drained")


def test_the_module_takes_gates(fork_module: Callable[..., ModuleRun], on_postgresql: Database) -> None:
    gates = {"lock_waiters": True, "vacuum": True, "condition": "SELECT true", "hours": "0-24:00", "patience": "1s"}
    refused = fork_module("results_purge", {"database_url": on_postgresql.url, "gates": gates})
    assert refused["failed"] is True
    assert "gates.hours" in refused["msg"]
    gates["hours"] = "0:00-23:59"
    done = fork_module("results_purge", {"database_url": on_postgresql.url, "gates": gates})
    assert (done["deleted"], done["pauses"]) == (ROWS, []), done
