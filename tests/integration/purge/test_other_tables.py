# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any table with dates and statuses, under any name, with any key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database
from support.tables import Ago, Rows, UniqueText, fill
from support.tables.rows import DAY

HOSTILE = [
    "Mixed Case",
    'quo"te',
    "it's; DROP TABLE other; --",
    "100% %(of)s %s :it",
    "back`tick\\slash",
    "größe_表",
    "select",
    "(brackets) [x]",
]


def _made(
    database: Database,
    name: str,
    key: list[sa.Column[Any]],
    columns: tuple[str, str, str, str] = ("id_of_task", "state", "kind", "ended"),
    schema: str | None = None,
    index: bool = True,
    nullable: bool = True,
) -> sa.Table:
    task_id, status, task_name, ended = columns
    table = sa.Table(
        name,
        sa.MetaData(),
        *key,
        sa.Column(task_id, sa.String(60)),
        sa.Column(status, sa.String(20)),
        sa.Column(task_name, sa.String(60)),
        sa.Column(ended, sa.DateTime(), nullable=nullable),
        schema=schema,
    )
    if index:
        sa.Index("ix_of_ended", table.c[ended])
    with database.begin() as connection:
        table.create(connection)
    return table


def _number() -> list[sa.Column[Any]]:
    return [sa.Column("id", sa.Integer, primary_key=True, autoincrement=True)]


def _options(table: str, columns: tuple[str, str, str, str] = ("id_of_task", "state", "kind", "ended")) -> Any:
    words = dict(zip(("task_id", "status", "task_name", "finished"), columns, strict=True))
    return {"profile": "celery_database", "table": table, "columns": words}


def _rows(columns: tuple[str, str, str, str], **key: Any) -> list[Rows]:
    """Forty that are old enough, ten that are not."""
    task_id, status, name, ended = columns
    made = {task_id: UniqueText(), status: "SUCCESS", name: "a", **key}
    return [Rows(40, {**made, ended: Ago(30 * DAY, 8 * DAY)}), Rows(10, {**made, ended: Ago(6 * DAY, 0)})]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_of_table_and_columns(database: Database, hostile: str) -> None:
    # SQLAlchemy does not read a backtick in a column of MariaDB back as it was.
    column = hostile.replace("`", "") if database.kind == "mariadb" else hostile
    columns = (f"a {column}", f"b {column}", f"c {column}", column)
    table = _made(database, hostile, _number(), columns)
    with database.begin() as connection:
        moments = sa.func.now() - sa.text("INTERVAL '30' DAY") if database.kind != "sqlite" else sa.text("'2020-01-01'")
        for status in ("SUCCESS", "FAILURE", "STARTED"):
            values = {columns[0]: sa.literal(status), columns[1]: sa.literal(status), columns[2]: sa.literal(hostile)}
            connection.execute(
                table.insert().from_select(
                    [*values, columns[3]], sa.select(*values.values(), sa.type_coerce(moments, sa.DateTime()))
                )
            )
    options = _options(hostile, columns)
    rules = [{"tasks": [hostile], "older_than": "7d", "keep_last": 1}]
    plan = purge(database, rules, check=True, batch_size=1, **options)
    done = purge(database, rules, batch_size=1, **options)
    assert (plan["matched"], done["deleted"], done["stopped"]) == (1, 1, "drained")
    assert done["before"]["size_bytes"] > 0
    assert [status for (status,) in database.execute(sa.select(table.c[columns[1]]))].count("STARTED") == 1


def test_a_module_takes_table_and_columns(fork_module: Callable[..., ModuleRun], database: Database) -> None:
    columns = ("id_of_task", "state", "kind", "ended")
    table = _made(database, "my jobs", _number())
    fill(database, table, _rows(columns))
    done = fork_module("results_purge", {"database_url": database.url, **_options("my jobs")}, diff=True)
    assert done["deleted"] == 40, done
    assert done["diff"]["before_header"] == "my jobs"
    assert database.count("my jobs") == 10


@pytest.mark.parametrize("schema", ["jobs", 'Odd "schema" 100%'])
def test_a_schema_on_postgresql(postgresql_database: Database, schema: str) -> None:
    with postgresql_database.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    inside = _made(postgresql_database, "jobs", _number(), schema=schema)
    fill(postgresql_database, inside, _rows(("id_of_task", "state", "kind", "ended")), clock="celery")
    outside = _made(postgresql_database, "jobs", _number())
    fill(postgresql_database, outside, _rows(("id_of_task", "state", "kind", "ended")), clock="celery")
    done = purge(postgresql_database, **_options(f"{schema}.jobs"))
    assert (done["deleted"], done["before"]["table_bytes"] > 0) == (40, True)
    assert postgresql_database.count("jobs") == 50


def test_another_database_on_mariadb_is_its_schema(mariadb_database: Database) -> None:
    table = _made(mariadb_database, "jobs", _number(), schema=mariadb_database.name)
    fill(mariadb_database, table, _rows(("id_of_task", "state", "kind", "ended")))
    done = purge(mariadb_database, **_options(f"{mariadb_database.name}.jobs"))
    assert (done["deleted"], done["before"]["size_bytes"] > 0) == (40, True)


def test_a_table_of_another_name_has_no_children(task_logs: Database) -> None:
    """What hangs on the original table has nothing to do with a copy of it."""
    task_logs.execute("CREATE TABLE archived_logs AS SELECT * FROM task_logs")
    task_logs.execute(
        "INSERT INTO archived_logs (id, task_id, task_name, status, created_at, retries)"
        " VALUES (1, 'a', 'b', 'SUCCESS', '2020-01-01', 0)"
    )
    task_logs.execute("INSERT INTO queue_stats (queue_name, message_count, recorded_at) VALUES ('q', 1, '2020-01-01')")
    if task_logs.kind == "sqlite":
        # A copy keeps no key there, and its date may be empty.
        task_logs.execute("ALTER TABLE archived_logs RENAME TO without_key")
        task_logs.execute("CREATE TABLE archived_logs (id INTEGER PRIMARY KEY, status TEXT, created_at TIMESTAMP)")
        task_logs.execute("INSERT INTO archived_logs SELECT id, status, created_at FROM without_key")
    done = purge(task_logs, profile="task_logs", table="archived_logs")
    assert (done["deleted"], done["related"], task_logs.count("queue_stats")) == (1, [], 1)


def test_a_key_of_text(database: Database) -> None:
    table = _made(database, "jobs", [sa.Column("uuid", sa.String(36), primary_key=True)], index=False)
    fill(database, table, _rows(("id_of_task", "state", "kind", "ended"), uuid=UniqueText()))
    done = purge(database, batch_size=7, **_options("jobs"))
    assert (done["deleted"], database.count("jobs")) == (40, 10)


def test_a_native_uuid_as_key(postgresql_database: Database) -> None:
    table = _made(postgresql_database, "jobs", [sa.Column("uuid", sa.Uuid(), primary_key=True)], index=False)
    fill(postgresql_database, table, _rows(("id_of_task", "state", "kind", "ended"), uuid=UniqueText()))
    done = purge(postgresql_database, batch_size=7, **_options("jobs"))
    assert (done["deleted"], postgresql_database.count("jobs")) == (40, 10)


@pytest.mark.parametrize("index", [True, False])
def test_a_key_of_two_columns_with_one_date_for_all(database: Database, index: bool) -> None:
    key = [
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.String(36), primary_key=True),
    ]
    table = _made(database, "jobs", key, index=index)
    same = {"id_of_task": "x", "state": "SUCCESS", "kind": "a", "ended": Ago(30 * DAY), "number": UniqueText()}
    # The two shards are larger than a batch, and so is the one date.
    fill(database, table, [Rows(40, {**same, "shard": 1}), Rows(25, {**same, "shard": 2})])
    fill(database, table, [Rows(3, {**same, "shard": 1, "ended": Ago(DAY)})])
    done = purge(database, batch_size=10, **_options("jobs"))
    assert (done["deleted"], done["stopped"], database.count("jobs")) == (65, "drained", 3)
    assert done["batches"] >= 7


def test_no_key_at_all(database: Database) -> None:
    key = [sa.Column("id", sa.Integer)]
    table = _made(database, "jobs", key, nullable=False)
    fill(database, table, _rows(("id_of_task", "state", "kind", "ended")))
    assert purge(database, batch_size=7, **_options("jobs"))["deleted"] == 40
    assert purge(database, [{"statuses": ["success"]}], batch_size=7, **_options("jobs"))["deleted"] == 10
