# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewriting a table that is replicated logically: its subscribers come to the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import provide
from support.engine import purge
from support.servers import Database, PostgreSQL
from support.servers.base import open_engine
from support.tables import create_django_celery_results, fill
from support.tables.rows import TASK_RESULT, task_results
from support.waiting import wait_until

OLD, YOUNG = 50_000, 2_000
SLOT = "copies"


@pytest.fixture(scope="module")
def logical() -> Iterator[PostgreSQL]:
    with provide(lambda: PostgreSQL({"wal_level": "logical"})) as server:
        yield server


class Replicated:
    """A table in a publication, another database that subscribes to it, and a slot whose changes are looked at."""

    def __init__(self, server: PostgreSQL, published: str) -> None:
        self.source, self.copy = server.new_database(), server.new_database()
        for database in (self.source, self.copy):
            create_django_celery_results(database)
        fill(self.source, TASK_RESULT, [task_results(OLD, days=10), task_results(YOUNG, days=1)])
        self.source.execute(f"ANALYZE {TASK_RESULT}")
        self.source.execute(f"CREATE PUBLICATION told FOR TABLE {TASK_RESULT} WITH (publish = '{published}')")
        # On one server, a subscription that made its slot itself would wait for itself.
        for slot in (SLOT, "decoded"):
            as_admin(self.source, f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
        url = sa.make_url(self.source.admin_url)
        where = f"host={url.host} port={url.port} dbname={url.database} user={url.username} password=''{url.password}''"
        as_admin(
            self.copy,
            f"CREATE SUBSCRIPTION copies CONNECTION '{where}' PUBLICATION told"
            f" WITH (create_slot = false, slot_name = '{SLOT}')",
        )
        wait_until(lambda: self.copy.count(TASK_RESULT) == OLD + YOUNG, seconds=60)

    def rows(self, database: Database) -> list[Any]:
        return database.execute(f"SELECT * FROM {TASK_RESULT} ORDER BY id")

    def decoded(self) -> str:
        """What the publication told since the last time, by pgoutput's letters: Insert, Update, Delete, Truncate."""
        letters = as_admin(
            self.source,
            "SELECT chr(get_byte(data, 0)) FROM pg_logical_slot_get_binary_changes"
            "('decoded', NULL, NULL, 'proto_version', '1', 'publication_names', 'told')",
        )
        return "".join(letter for (letter,) in letters if letter in "IUDT")

    def end(self) -> None:
        as_admin(self.copy, "DROP SUBSCRIPTION copies")
        as_admin(self.source, "SELECT pg_drop_replication_slot('decoded')")
        for database in (self.source, self.copy):
            database.drop()


def as_admin(database: Database, statement: str) -> list[Any]:
    engine = open_engine(database.admin_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = connection.execute(sa.text(statement.replace(":", "\\:")))
        rows = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


@pytest.mark.parametrize(
    ("published", "strategy"),
    [("insert, update, delete, truncate", "rewrite"), ("insert, update, delete", "batches")],
)
def test_a_subscriber_comes_to_the_same_rows(logical: PostgreSQL, published: str, strategy: str) -> None:
    replicated = Replicated(logical, published)
    try:
        replicated.decoded()
        done = purge(replicated.source, exclusive_lock=30)
        assert (done["strategy"], done["deleted"], done["stopped"]) == (strategy, OLD, "drained"), done
        assert ("a publication of it" in str(done["strategy_reason"])) is (strategy == "batches")
        # It is in the publication still, and what is written afterwards reaches the subscriber.
        assert replicated.source.execute("SELECT tablename FROM pg_publication_tables") == [(TASK_RESULT,)]
        fill(replicated.source, TASK_RESULT, [task_results(3, days=0)])
        kept = replicated.rows(replicated.source)
        assert len(kept) == YOUNG + 3
        wait_until(lambda: replicated.copy.count(TASK_RESULT) == len(kept), seconds=60)
        assert replicated.rows(replicated.copy) == kept
        assert replicated.decoded() == ("T" + "I" * len(kept) if strategy == "rewrite" else "D" * OLD + "I" * 3)
    finally:
        replicated.end()
