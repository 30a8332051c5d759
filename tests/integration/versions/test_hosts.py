# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules under the oldest and the newest Python, SQLAlchemy and drivers that a host may have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import provide
from support.hosts import HOSTS, url_on
from support.servers import Database
from support.tables import Ago, Rows, UniqueText, create_django_celery_beat, create_reading_sessions, fill

DAY = 86_400.0

TASKS = """
- fleetops.celery.deployment_info:
- fleetops.celery.results_info:
- fleetops.celery.results_info: {profile: reading_sessions}
- fleetops.celery.results_index: {profile: reading_sessions}
- fleetops.celery.zombie_fail: {profile: reading_sessions}
- fleetops.celery.zombie_fail:
- fleetops.celery.results_purge: {batch_size: 100, archive: {path: "{{ archive_folder }}"}}
- fleetops.celery.results_restore: {path: "{{ archive_folder }}"}
- fleetops.celery.results_purge: {batch_size: 100}
- fleetops.celery.results_purge:
- fleetops.celery.results_vacuum: {mode: full, confirm: django_celery_results_taskresult, min_dead_percent: 1}
- fleetops.celery.backend_cleanup: {result_expires: 24h, own_task: nightly}
- fleetops.celery.periodic_task: &nightly {name: nightly, task: cleanup, crontab: 0 3 * * *, kwargs: {days: 7}}
- fleetops.celery.periodic_task: *nightly
- fleetops.celery.backend_cleanup: {state: absent, result_expires: 24h, own_task: nightly}
"""
PLAYBOOK = """
- hosts: all
  gather_facts: false
  module_defaults:
    group/fleetops.celery.all:
      database_url: "{{ database_url }}"
  tasks:
"""


def _records(database: Database) -> None:
    create_django_celery_beat(database)
    create_reading_sessions(database)
    on = " ON reading_sessions" if database.kind == "mariadb" else ""
    database.execute(f"DROP INDEX idx_reading_sessions_cleanup{on}")
    json_result = {"task_id": UniqueText(), "content_type": "application/json", "content_encoding": "utf-8"}
    old = {**json_result, "date_created": Ago(30 * DAY), "date_done": Ago(30 * DAY)}
    new = {**json_result, "date_created": Ago(DAY / 2), "date_done": Ago(DAY / 2)}
    groups = [
        Rows(400, {**old, "status": "SUCCESS"}),
        Rows(7, {**old, "status": "STARTED"}),
        Rows(50, {**new, "status": "SUCCESS"}),
        Rows(5, {**new, "status": "REVOKED"}),
    ]
    fill(database, "django_celery_results_taskresult", groups)
    session = {"id": UniqueText(), "user_id": "1", "book_id": "2", "start_position": 7, "is_active": True}
    fill(database, "reading_sessions", [Rows(4, {**session, "duration_minutes": 0, "started_at": Ago(10_805.0)})])


@pytest.mark.parametrize("host", list(HOSTS))
def test_modules_work_under_the_libraries_of_a_host(
    request: pytest.FixtureRequest, run_playbook: Callable[..., Any], tmp_path: Path, host: str
) -> None:
    make_interpreter, schemes = HOSTS[host]
    python = provide(make_interpreter)
    databases: dict[str, Database] = {}
    variables: dict[str, dict[str, str]] = {}
    for kind in schemes:
        server = request.getfixturevalue(kind)
        databases[kind] = server.filled_database(_records, _records)[0]
        (tmp_path / kind).mkdir()
        variables[kind] = {
            "database_url": url_on(host, kind, databases[kind].url),
            "ansible_connection": "local",
            "ansible_python_interpreter": str(python),
            "archive_folder": str(tmp_path / kind),
        }
    inventory, playbook = tmp_path / "inventory.json", tmp_path / "smoke.yml"
    inventory.write_text(json.dumps({"all": {"hosts": variables}}))
    playbook.write_text(PLAYBOOK + "".join(f"    {line}\n" for line in TASKS.strip().splitlines()))

    run = run_playbook(playbook, inventory)

    assert run.exit_code == 0, run.output
    for kind, database in databases.items():
        _check(kind, database, {name: run.results(name, kind) for name in NAMES})
        database.drop()


NAMES = (
    "deployment_info", "results_index", "results_info", "zombie_fail", "results_purge", "results_restore",
    "results_vacuum", "backend_cleanup", "periodic_task",
)  # fmt: skip


def _check(kind: str, database: Database, results: dict[str, list[dict[str, Any]]]) -> None:
    (deployment,) = results["deployment_info"]
    assert {one["profile"] for one in deployment["profiles"]} == {"django_celery_results", "reading_sessions"}
    statistics, sessions = (one["stats"] for one in results["results_info"])
    assert (statistics["total"], statistics["overdue"]) == (462, [{"rule": "started", "count": 7}])
    assert statistics["size_bytes"] > 0
    assert sessions["sessions"]["total_active"] == 4
    (indexed,) = results["results_index"]
    assert [(one["name"], one["created"]) for one in indexed["indexes"]] == [("ix_reading_sessions_abandoned", True)]
    closed, failed = results["zombie_fail"]
    assert (closed["ended"], failed["ended"]) == (4, 7)
    archived, first, second = results["results_purge"]
    (restored,) = results["results_restore"]
    assert (archived["deleted"], archived["archive"]["rows"], restored["restored"]) == (405, 405, 405)
    # The zombies have ended now, so they are young.
    assert (first["matched"], first["deleted"], first["stopped"]) == (405, 405, "drained")
    assert (second["changed"], second["matched"]) == (False, 0)
    (vacuumed,) = results["results_vacuum"]
    if kind == "postgresql":
        assert vacuumed["steps"] == ["VACUUM (FULL, ANALYZE)"]
        assert vacuumed["reclaimed_bytes"] > 0
    disabled, removed = results["backend_cleanup"]
    assert (disabled["after"]["enabled"], disabled["recreation"]["verdict"]) == (False, "stays_disabled")
    assert (removed["after"], removed["recreation"]["verdict"]) == (None, "will_come_back")
    assert (disabled["own_task"], removed["own_task"]["kwargs"]) == (None, {"days": 7})
    made, again = results["periodic_task"]
    assert (made["changed"], again["changed"], made["after"]) == (True, False, again["after"])
    assert database.count("django_celery_results_taskresult") == 57
    ((minutes, position),) = database.execute("SELECT DISTINCT duration_minutes, end_position FROM reading_sessions")
    # The sessions were made once for all hosts, and some of these take minutes.
    assert (180 <= minutes < 200, position) == (True, 7)
