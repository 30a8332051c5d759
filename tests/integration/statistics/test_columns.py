# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine knows of a table's columns is what SQLAlchemy's inspector would say of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from ansible_collections.fleetops.celery.plugins.module_utils._engine.columns import list_columns
from support.servers import Database
from support.tables import (
    create_celery_tables,
    create_django_celery_beat,
    create_processing_tasks,
    create_reading_sessions,
    create_task_logs,
)

Inspected = tuple[list[tuple[str, str, bool]], list[str]]


def _inspected(connection: sa.Connection, table: str, schema: str | None) -> Inspected:
    inspector = sa.inspect(connection)
    columns = inspector.get_columns(table, schema=schema)
    key = inspector.get_pk_constraint(table, schema=schema)["constrained_columns"]
    return [(one["name"], repr(one["type"]), one["nullable"]) for one in columns], key


def _listed(connection: sa.Connection, table: str, schema: str | None) -> Inspected:
    columns, key = list_columns(connection, table, schema)
    return [(one.name, repr(one.type), one.nullable) for one in columns], key


def _same(database: Database, table: str, schema: str | None = None) -> None:
    engine = database.engine()
    with engine.connect() as connection:
        expected = _inspected(connection, table, schema)
        assert _listed(connection, table, schema) == expected
        assert expected[0]
    engine.dispose()


@pytest.mark.parametrize(
    "fill",
    [
        create_celery_tables,
        create_django_celery_beat,
        create_processing_tasks,
        create_reading_sessions,
        create_task_logs,
    ],
)
def test_tables_of_profiles(make_database: Callable[..., Database], fill: Callable[[Database], None]) -> None:
    database = make_database(fill)
    engine = database.engine()
    tables = sa.inspect(engine).get_table_names()
    engine.dispose()
    assert tables
    for table in tables:
        _same(database, table)


def test_results(dcr: Database) -> None:
    for name in ("taskresult", "groupresult", "chordcounter"):
        _same(dcr, f"django_celery_results_{name}")


@pytest.mark.parametrize(
    "column",
    [
        "a character varying(12)",
        "a character varying",
        "a character(3)",
        "a timestamp with time zone NOT NULL",
        "a timestamp without time zone",
        "a timestamp(3) with time zone",
        "a numeric(8, 2)",
        "a double precision",
        "a text[]",
        "a uuid",
        "a jsonb",
        "a interval",
        'a text COLLATE "C"',
        "a mood",
        "a apart.mood",
        "a short",
        'a int8range, "B c" smallint, e boolean',
    ],
)
def test_types_of_postgresql(postgresql_database: Database, column: str) -> None:
    for statement in (
        "CREATE SCHEMA apart",
        "CREATE TYPE mood AS ENUM ('glad', 'sad')",
        "CREATE TYPE apart.mood AS ENUM ('glad', 'sad')",
        "CREATE DOMAIN short AS character varying(5) NOT NULL",
        f"CREATE TABLE kinds (x integer, {column}, y bigint, gone text, PRIMARY KEY (y, x))",
        "ALTER TABLE kinds DROP COLUMN gone",
        f"CREATE TABLE apart.kinds ({column}, z date)",
        "CREATE VIEW seen AS SELECT * FROM kinds",
    ):
        postgresql_database.execute(statement)
    _same(postgresql_database, "kinds")
    _same(postgresql_database, "kinds", "apart")
    _same(postgresql_database, "seen")


def test_no_table(database: Database) -> None:
    engine = database.engine()
    with engine.connect() as connection:
        assert list_columns(connection, "nowhere", None) == ([], [])
    engine.dispose()
