# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cleaning running deployments, of which the inventory knows nothing but the folder."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from support.docker import ComposeProject
from support.running import PlaybookRun, run_module, run_playbook
from support.tables import fill
from support.tables.rows import TASK_RESULT, task_results
from support.waiting import wait_until


@pytest.fixture
def inventory(shop: ComposeProject, library: ComposeProject, tmp_path: Path) -> Path:
    hosts = {
        name: {"celery_compose_project_dir": str(project.folder)}
        for name, project in (("shop", shop), ("library", library))
    }
    path = tmp_path / "hosts.yml"
    path.write_text(json.dumps({"all": {"hosts": hosts, "vars": {"ansible_connection": "local"}}}), encoding="utf-8")
    return path


def test_the_cleanup_playbook(shop: ComposeProject, library: ComposeProject, inventory: Path) -> None:
    databases = {"shop": shop.database(), "library": library.database()}
    for database in databases.values():
        fill(
            database,
            TASK_RESULT,
            [task_results(300, days=20), task_results(40, days=1), task_results(5, "REVOKED", days=1)],
        )

    def run(check: bool = False) -> PlaybookRun:
        done = run_playbook("fleetops.celery.cleanup", inventory, check=check, diff=True)
        assert done.exit_code == 0, done.output
        for project in (shop, library):
            assert project.password not in done.output
        return done

    rehearsed = run(check=True)
    assert [database.count(TASK_RESULT) for database in databases.values()] == [345, 345]
    done = run()
    again = run()
    for host, database in databases.items():
        assert database.count(TASK_RESULT) == 40
        (foreseen,) = rehearsed.results("results_purge", host)
        (purged,) = done.results("results_purge", host)
        assert (foreseen["matched"], foreseen["deleted"]) == (305, 0)
        assert (purged["matched"], purged["deleted"]) == (305, 305)
        assert done.recap[host]["changed"] > 0
        assert again.recap[host]["changed"] == 0
        database.execute(f"DELETE FROM {TASK_RESULT}")


@pytest.mark.parametrize("name", ["shop", "library"])
def test_a_task_that_ends_while_a_purge_runs_keeps_its_result(request: pytest.FixtureRequest, name: str) -> None:
    """The purge has matched its row, which is then another when its turn comes."""
    project: ComposeProject = request.getfixturevalue(name)
    database = project.database()
    fill(database, TASK_RESULT, [task_results(500, days=20)])
    task = project.send("hold", "finished")
    row = f"FROM {TASK_RESULT} WHERE task_id = '{task}'"
    wait_until(lambda: database.execute(f"SELECT 1 {row} AND status = 'STARTED'"))
    # Old enough for the rule and younger than the others, so that it is the last one whichever way the purge walks.
    past = datetime.now(timezone.utc) - timedelta(days=8)
    database.execute(
        f"UPDATE {TASK_RESULT} SET date_done = :past, date_created = :past WHERE task_id = '{task}'", past=past
    )
    arguments = {
        "compose": {"project_dir": str(project.folder)},
        "rules": [{"name": "everything", "statuses": ["SUCCESS", "STARTED"], "older_than": "7d"}],
        "batch_size": 100,
        "pause": "1s",
    }
    assert run_module("results_purge", arguments, check=True)["matched"] == 501
    with ThreadPoolExecutor(1) as pool:
        purging = pool.submit(run_module, "results_purge", arguments)
        wait_until(lambda: purging.done() or database.count(TASK_RESULT) < 501)
        assert database.execute(f"SELECT status {row}") == [("STARTED",)]
        project.compose("exec", "-T", "redis", "redis-cli", "set", "finished", "1")
        wait_until(lambda: database.execute(f"SELECT 1 {row} AND status = 'SUCCESS'"))
        assert not purging.done(), "the task was to end amid the purge"
        purged = purging.result()
    assert (purged["deleted"], purged["stopped"]) == (500, "drained"), purged
    program = f"from shop.celery import app; print(app.AsyncResult('{task}').get())"
    assert project.django(program).strip() == "saw finished"
    database.execute(f"DELETE FROM {TASK_RESULT}")
