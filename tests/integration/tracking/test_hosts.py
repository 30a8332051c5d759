# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorder under the oldest and newest Python and libraries: it makes, writes and reads the same as here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import provide
from support import tables
from support.hosts import HOSTS, HOSTS_AND_KINDS, url_on
from support.running.collection import clean_environment
from support.servers import Database
from support.tracking import driver_url, recorder_module, tracking_path

records = recorder_module("records")
_PROGRAM = Path(__file__).parents[2] / "support" / "tracking" / "recording_program.py"
_WORKER = "worker@test"
_OLD = 1_700_000_000.123456
_NEW = 4_000_000_000.123456
_ETA = "2026-01-01T12:00:00+02:00"
_DESCRIBED = ("(1,)", "{'name': '100 % Tee €'}", "celery", None, 0, _ETA, None, "a", None, "gen@host", "7")
# Of every kind, and of a task everything that can happen to it.
_PUBLISHED = [(records.PUBLISHED, _OLD + at, task, "shop.add", 0, *_DESCRIBED) for at, task in enumerate("abcd")]
_WORKED = [
    (records.WORKER, _NEW, _WORKER, records.ONLINE, 0, 0, _NEW - 60),
    *((records.STARTED, _OLD + 10, task, "shop.add", 0, *_DESCRIBED) for task in "abcde"),
    (records.FINISHED, _OLD + 11, "a", "shop.add", 0, "SUCCESS", "2", None, None, 0.5),
    (records.FINISHED, _OLD + 12, "b", "shop.add", 0, "RETRY", None, "ValueError: no", "Traceback", None),
    (records.PUBLISHED, _OLD + 12, "b", "shop.add", 1, *_DESCRIBED),
    (records.STARTED, _OLD + 13, "b", "shop.add", 1, *_DESCRIBED),
    (records.FINISHED, _OLD + 14, "b", "shop.add", 1, "FAILURE", None, "ValueError: no", "Traceback", None),
    (records.FINISHED, _OLD + 15, "c", "shop.add", 0, "REVOKED", None, "terminated: 15", None, None),
    (records.PROGRESS, _NEW, "d", "shop.add", 0, "HALF", '{"done": 1}'),
    (records.FINISHED, _NEW, "e", "shop.add", 0, "SUCCESS", "2", None, None, 0.5),
    (records.QUEUE, _NEW, "celery", 3),
    (records.WORKER, _NEW + 1, _WORKER, records.ONLINE, 1, 5, _NEW - 60),
    (records.WORKER, _NEW + 2, _WORKER, records.ONLINE, 0, None, None),
]
_READ: dict[str, dict[str, Any]] = {
    f"get_{what}": {}
    for what in ("task_statistics", "running_tasks", "online_workers", "worker_status", "realtime_status")
}


def _record(
    python: str, url: str, read: dict[str, dict[str, Any]], published: Sequence[Any] = (), worked: Sequence[Any] = ()
) -> dict[str, Any]:
    order = {"published": published, "worker": _WORKER, "born": _NEW - 60, "worked": worked, "read": read}
    done = subprocess.run(
        [python, str(_PROGRAM)],
        input=json.dumps(order),
        env=clean_environment(
            {"PYTHONPATH": str(tracking_path()), "CELERY_TRACKING": "off", "CELERY_TRACKING_DATABASE_URL": url}
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # The writer says whatever it cannot do.
    assert done.stderr == ""
    returned: dict[str, Any] = json.loads(done.stdout)
    return returned


def _contents(database: Database) -> dict[str, Any]:
    """Every table: its columns and their types, its indexes, its rows."""
    contents = {}
    with database.begin() as connection:
        inspector = sa.inspect(connection)
        for name in sorted(inspector.get_table_names()):
            columns = {column["name"]: repr(column["type"]) for column in inspector.get_columns(name)}
            indexes = sorted((str(index["name"]), index["column_names"]) for index in inspector.get_indexes(name))
            rows = connection.execute(sa.text(f"SELECT {', '.join(sorted(set(columns) - {'id'}))} FROM {name}"))
            contents[name] = columns, indexes, sorted(map(repr, rows))
    return contents


def _nothing(database: Database) -> None:
    """The recorder makes all tables by itself."""


def _an_application_s_own(database: Database) -> None:
    tables.create_task_logs(database)
    database.execute("ALTER TABLE task_metadata ADD COLUMN user_id INTEGER")


@pytest.mark.parametrize("before", [_nothing, _an_application_s_own], ids=["anew", "upgrade"])
@pytest.mark.parametrize(("host", "kind"), HOSTS_AND_KINDS)
def test_it_does_the_same_under_the_libraries_of_a_host(
    request: pytest.FixtureRequest, host: str, kind: str, before: Callable[[Database], None]
) -> None:
    def record_here(database: Database) -> tuple[dict[str, Any], dict[str, Any]]:
        before(database)
        return _record(sys.executable, driver_url(database), _READ, _PUBLISHED, _WORKED), _contents(database)

    python = str(provide(HOSTS[host][0]))
    server = request.getfixturevalue(kind)
    here, (read_here, contents_here) = server.filled_database(("recorded", before), record_here)
    there = server.new_database()
    before(there)
    url = url_on(host, kind, there.url)

    read = _record(python, url, _READ, _PUBLISHED, _WORKED)
    assert read["get_task_statistics"] == {"SUCCESS": 2, "FAILURE": 1, "REVOKED": 1, "STARTED": 1}
    (online,) = read["get_online_workers"]
    assert (online["processed_tasks"], online["failed_tasks"], online["dropped_records"]) == (5, 1, 0)
    assert there.count("queue_stats") == 1
    assert read == read_here
    assert _contents(there) == contents_here

    assert _record(python, url, {"cleanup_old_records": {"days": 30}}) == {"cleanup_old_records": 4}
    assert there.count("task_logs") == there.count("task_results") == 1
    for database in (there, here):
        database.drop()
