# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""STARTED rows that a killed worker left: failed, and then read by the application."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from support.running import ModuleRun
from support.servers import Database
from support.tables import create_django_celery_results, dump, fill
from support.tables.rows import task_results

Options = dict[str, Any]
RunModule = Callable[..., ModuleRun]

RESULTS, CELERY = "django_celery_results_taskresult", "celery_taskmeta"
REASON = 'the host was rebooted: 100% sure, it\'s "gone" {{ for good }} ü'

# Every kind of database for these; the rest, which differ by encoding alone, for one.
EVERYWHERE: list[Options] = [
    {"backend": "django-db", "results_version": "2.5.1"},
    {"backend": "django-db", "serializer": "pickle", "results_version": "2.6.0"},
    {"backend": "database", "result_extended": False},
    {"backend": "database", "celery_version": "5.6.3"},
]
ONCE: list[Options] = [
    {"backend": "django-db", "serializer": "pickle", "results_version": "2.5.1"},
    {"backend": "django-db", "results_version": "2.6.0"},
    {"backend": "database", "serializer": "pickle"},
    {"backend": "database", "serializer": "pickle", "celery_version": "5.6.3"},
]


def _name(options: Options) -> str:
    return "-".join(str(value) for value in options.values())


def _table(options: Options) -> str:
    return RESULTS if options["backend"] == "django-db" else CELERY


def _arguments(options: Options, **rule: Any) -> dict[str, Any]:
    """The profile's own rule; Celery's own table has no date for a row that is not finished, until we give it one."""
    rules = [{"name": "started", "statuses": ["STARTED"], "older_than": "24h", "reason": REASON, **rule}]
    if options["backend"] == "django-db":
        return {"rules": rules}
    return {"profile": "celery_database", "columns": {"started": "date_done"}, "rules": rules}


def _make_old(database: Database, options: Options, task_id: str, days: float = 2.0) -> None:
    moment: datetime = datetime.now(timezone.utc) - timedelta(days=days)
    with database.begin() as connection:
        table = sa.Table(_table(options), sa.MetaData(), autoload_with=connection)
        if not getattr(table.c.date_done.type, "timezone", False):
            moment = moment.replace(tzinfo=None)
        dates = [name for name in ("date_done", "date_created", "date_started") if name in table.c]
        written = connection.execute(
            sa.update(table).where(table.c.task_id == task_id).values(dict.fromkeys(dates, moment))
        )
        assert written.rowcount == 1


def _row(database: Database, options: Options, task_id: str) -> dict[str, Any]:
    with database.begin() as connection:
        table = sa.Table(_table(options), sa.MetaData(), autoload_with=connection)
        return dict(connection.execute(sa.select(table).where(table.c.task_id == task_id)).mappings().one())


def _other_rows(database: Database, options: Options, task_id: str) -> list[tuple[Any, ...]]:
    rows = [row for row in dump(database)[_table(options)] if task_id not in row]
    assert len(rows) == 11
    return rows


def _fail_and_read(worker_rows: Callable[..., Any], run: RunModule, options: Options) -> None:
    left = worker_rows(**options)
    database, ids = left.database, left.ids
    _make_old(database, options, ids.hanging)
    others = _other_rows(database, options, ids.hanging)

    planned = run("zombie_fail", {"database_url": database.url, **_arguments(options)}, check=True)
    assert (planned["matched"], planned["ended"], planned["changed"]) == (1, 0, True)
    done = run("zombie_fail", {"database_url": database.url, **_arguments(options)})
    assert (done["matched"], done["ended"], done["changed"]) == (1, 1, True)
    assert [row["identity"] for row in done["rows"]] == [ids.hanging]
    assert done["verdicts"] == []  # nobody was asked for proof

    read = left.application.read(ids.hanging)
    assert read.state == "FAILURE"
    assert read.exception_class == "billiard.exceptions.WorkerLostError"
    assert read.exception_message == REASON
    row = _row(database, options, ids.hanging)
    assert row["traceback"] == f"{REASON}; the status was STARTED"
    ended = row["date_done"].replace(tzinfo=None)
    # Celery's table on PostgreSQL keeps the session's zone, which is UTC here.
    assert abs(ended - datetime.now(timezone.utc).replace(tzinfo=None)) < timedelta(minutes=5)
    # What lives, and what has ended, stays as it was.
    assert _other_rows(database, options, ids.hanging) == others
    again = run("zombie_fail", {"database_url": database.url, **_arguments(options)})
    assert (again["matched"], again["changed"]) == (0, False)


@pytest.mark.parametrize("options", EVERYWHERE, ids=_name)
def test_a_failed_row_is_read_as_an_exception_with_the_reason(
    worker_rows: Callable[..., Any], fork_module: RunModule, options: Options
) -> None:
    _fail_and_read(worker_rows, fork_module, options)


@pytest.mark.parametrize("database_server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("options", ONCE, ids=_name)
def test_a_failed_row_in_other_encodings_is_read_too(
    worker_rows: Callable[..., Any], fork_module: RunModule, options: Options
) -> None:
    _fail_and_read(worker_rows, fork_module, options)


@pytest.mark.parametrize("options", [EVERYWHERE[0], EVERYWHERE[3]], ids=_name)
def test_a_revoked_row_is_read_as_revoked(
    worker_rows: Callable[..., Any], fork_module: RunModule, options: Options
) -> None:
    left = worker_rows(**options)
    _make_old(left.database, options, left.ids.hanging)
    arguments = {"database_url": left.database.url, **_arguments(options, set_status="revoked")}
    assert fork_module("zombie_fail", arguments)["ended"] == 1
    read = left.application.read(left.ids.hanging)
    assert (read.state, read.exception_class) == ("REVOKED", "celery.exceptions.TaskRevokedError")
    assert read.exception_message == REASON


@pytest.mark.parametrize("options", [EVERYWHERE[0], EVERYWHERE[3]], ids=_name)
@pytest.mark.parametrize("status", ["SUCCESS", "CLOSED"])
def test_a_status_that_celery_cannot_read_is_refused(
    worker_rows: Callable[..., Any], fork_module: RunModule, options: Options, status: str
) -> None:
    left = worker_rows(**options)
    _make_old(left.database, options, left.ids.hanging)
    before = dump(left.database)
    refused = fork_module("zombie_fail", {"database_url": left.database.url, **_arguments(options, set_status=status)})
    assert refused["failed"] is True
    assert f"set_status {status} cannot be given to a row of {_table(options)}" in refused["msg"]
    assert "FAILURE and REVOKED" in refused["msg"]
    assert dump(left.database) == before


FOREIGN = [
    pytest.param(EVERYWHERE[0], {"content_type": "application/x-yaml"}, id="yaml"),
    pytest.param(EVERYWHERE[0], {"content_type": "application/x-msgpack", "content_encoding": "binary"}, id="msgpack"),
    pytest.param(EVERYWHERE[0], {"content_type": "application/json", "content_encoding": "latin-1"}, id="latin-1"),
    pytest.param(EVERYWHERE[2], {"result": b"pid: 1\nhostname: a\n"}, id="celery-yaml"),
    pytest.param(EVERYWHERE[2], {"result": b"\x82\xa3pid\x01\xa8hostname\xa1a"}, id="celery-msgpack"),
]


@pytest.mark.parametrize(("options", "encoding"), FOREIGN)
def test_a_row_in_an_encoding_that_cannot_be_written_is_counted_and_left(
    worker_rows: Callable[..., Any], fork_module: RunModule, options: Options, encoding: dict[str, Any]
) -> None:
    left = worker_rows(**options)
    database, ids = left.database, left.ids
    for task_id in (ids.hanging, ids.stuck_chord_hanging_member):
        _make_old(database, options, task_id)
    with database.begin() as connection:
        table = sa.Table(_table(options), sa.MetaData(), autoload_with=connection)
        connection.execute(sa.update(table).where(table.c.task_id == ids.hanging).values(**encoding))
    before = _row(database, options, ids.hanging)

    arguments = {"database_url": database.url, **_arguments(options)}
    planned = fork_module("zombie_fail", arguments, check=True)
    done = fork_module("zombie_fail", arguments)

    for result, ended in ((planned, 0), (done, 1)):
        (rule,) = result["rules"]
        assert (rule["matched"], rule["ended"], rule["unwritable"]) == (2, ended, 1)
        assert {row["identity"]: row["writable"] for row in result["rows"]} == {
            ids.hanging: False,
            ids.stuck_chord_hanging_member: True,
        }
    assert any("encoding that cannot be written" in line for line in done["report"])
    assert _row(database, options, ids.hanging) == before
    again = fork_module("zombie_fail", arguments)
    assert (again["matched"], again["changed"]) == (1, False)


@pytest.mark.parametrize("check", [True, False], ids=["check", "do"])
def test_a_row_counts_for_the_first_rule_that_selects_it(
    make_database: Callable[..., Database], fork_module: RunModule, check: bool
) -> None:
    def started(database: Database) -> None:
        create_django_celery_results(database)
        foreign = {"content_type": "application/x-yaml"}
        old = [task_results(3, "STARTED", days=3), task_results(2, "STARTED", days=3, **foreign)]
        young = [task_results(4, "STARTED", days=0.5), task_results(1, "STARTED", days=0.5, **foreign)]
        fill(database, RESULTS, [*old, *young])

    database = make_database(started)
    rules = [
        {"name": "day", "statuses": ["STARTED"], "older_than": "24h"},
        {"name": "hour", "statuses": ["STARTED"], "older_than": "1h"},
    ]
    found = fork_module("zombie_fail", {"database_url": database.url, "rules": rules}, check=check)
    counts = [(one["name"], one["matched"], one["unwritable"]) for one in found["rules"]]
    assert counts == [("day", 5, 2), ("hour", 5, 1)]
    assert (found["matched"], found["ended"]) == (10, 0 if check else 7)
    assert sorted((row["rule"], row["writable"]) for row in found["rows"]) == [
        *[("day", False)] * 2, *[("day", True)] * 3, ("hour", False), *[("hour", True)] * 4,
    ]  # fmt: skip
    assert len({row["identity"] for row in found["rows"]}) == 10


@pytest.mark.parametrize("results_version", ["2.5.1"], indirect=True)
def test_a_row_without_a_result_is_failed_too(dcr: Database, fork_module: RunModule) -> None:
    """A broker's redelivery, or an application that makes rows ahead, leaves them like this."""
    moment = datetime.now(timezone.utc) - timedelta(days=3)
    with dcr.begin() as connection:
        table = sa.Table(RESULTS, sa.MetaData(), autoload_with=connection)
        if dcr.kind != "postgresql":
            moment = moment.replace(tzinfo=None)
        connection.execute(
            sa.insert(table).values(
                task_id="1", status="STARTED", content_type="application/json", content_encoding="utf-8",
                date_created=moment, date_done=moment,
            )
        )  # fmt: skip
    assert fork_module("zombie_fail", {"database_url": dcr.url})["ended"] == 1
    (result, note) = dcr.execute(f"SELECT result, traceback FROM {RESULTS}")[0]
    assert "STARTED for more than 24h" in result
    assert "the status was STARTED" in note
