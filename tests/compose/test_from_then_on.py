# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By playbooks alone, an old deployment is migrated, cleans itself by cron and then by beat, and is tracked."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.docker import ComposeProject, Images, up
from support.running import PlaybookRun, run_playbook
from support.tables import fill
from support.tables.rows import TASK_RESULT, task_results
from support.waiting import wait_until

EVERY_MINUTE = "* * * * *"


@pytest.fixture
def old(images: Images) -> Iterator[ComposeProject]:
    """Beat has installed celery.backend_cleanup."""
    with up(f"from-then-on-{os.getpid()}", images, result_expires=86400, one_file=True) as project:
        yield project
        shutil.rmtree(Path("/opt/fleetops-celery/deployments", project.name), ignore_errors=True)


class Fleet:
    """The inventory: the project's folder, and no more than tests need beside it."""

    def __init__(self, project: ComposeProject, scratch: Path) -> None:
        self.project = project
        self.root = scratch / "host"
        for folder in ("etc/cron.d", "etc/logrotate.d", "usr/sbin"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "usr/sbin/cron").symlink_to("/bin/true")
        self._inventory = scratch / "hosts.json"
        host = {
            "ansible_connection": "local",
            "celery_compose_project_dir": str(project.folder),
            # A schedule that a test can wait for.
            "cron_schedule_cleanup": EVERY_MINUTE,
            "cron_schedule_dry_run": "",
            "cron_schedule_vacuum": "",
            "beat_schedule_tasks": [{"name": "maintenance", "task": "run_policy", "crontab": EVERY_MINUTE}],
            # Away from the host's own files.
            "cron_schedule_python": sys.executable,
            "cron_schedule_command": str(self.root / "opt/celery-cleanup"),
        }
        self._inventory.write_text(json.dumps({"all": {"hosts": {project.name: host}}}), encoding="utf-8")

    def play(self, playbook: str, *, check: bool = False, **variables: Any) -> int:
        """How many tasks changed something."""
        extra = {"_cron_schedule_root": str(self.root), **variables}
        done: PlaybookRun = run_playbook(f"fleetops.celery.{playbook}", self._inventory, extra, check=check)
        assert done.exit_code == 0, done.output
        assert self.project.password not in done.output
        return done.recap[self.project.name]["changed"]

    def cron_entries(self) -> list[Path]:
        return list((self.root / "etc/cron.d").iterdir())

    def sees_old_rows_go(self) -> None:
        """The young ones stay."""
        database = self.project.database()
        fill(database, TASK_RESULT, [task_results(40), task_results(7, days=1, task_name="young")])
        old = f"SELECT count(*) FROM {TASK_RESULT} WHERE date_done < now() - interval '7 days'"
        young = f"SELECT count(*) FROM {TASK_RESULT} WHERE task_name = 'young'"
        there = database.scalar(young)
        assert database.scalar(old) >= 40
        wait_until(lambda: database.scalar(old) == 0, 120)
        assert database.scalar(young) == there


def test_a_deployment_is_migrated_and_cleans_itself(
    old: ComposeProject, have_cron_run: Callable[[Path], None], tmp_path: Path
) -> None:
    fleet = Fleet(old, tmp_path)
    assert old.schedule()["celery.backend_cleanup"] is True
    assert fleet.play("migrate") > 0
    assert old.schedule()["celery.backend_cleanup"] is False

    # By cron, which finds the database by its container.
    assert fleet.play("schedule") > 0
    policy = json.loads((fleet.root / f"etc/fleetops-celery/{old.name}.json").read_text())
    assert policy == {"compose": {"project_dir": str(old.folder)}}
    have_cron_run(fleet.root / "etc/cron.d")
    fleet.sees_old_rows_go()

    # By beat, and by cron no more.
    beat = {"celery_schedule": "beat"}
    entries = fleet.cron_entries()
    assert fleet.play("schedule", check=True, **beat) > 0
    assert (fleet.cron_entries(), old.containers("celery_maintenance")) == (entries, [])
    assert fleet.play("schedule", **beat) > 0
    assert fleet.cron_entries() == []
    fleet.sees_old_rows_go()
    assert fleet.play("schedule", **beat) == 0

    # What tasks do is recorded beside it.
    assert fleet.play("tracking") > 0
    task = old.send("crawl", 0).strip().splitlines()[-1]
    recorded = f"SELECT status FROM task_logs WHERE task_id = '{task}'"
    database = old.database()
    wait_until(lambda: [tuple(row) for row in database.execute(recorded)] == [("SUCCESS",)], 30)

    # And back to cron, by which the sidecar goes and the recorder stays.
    assert fleet.play("schedule", check=True) > 0
    assert len(old.containers("celery_maintenance")) == 1
    assert fleet.play("schedule") > 0
    assert (fleet.cron_entries(), old.containers("celery_maintenance")) == (entries, [])
    assert "CELERY_TRACKING" in json.dumps(old.inspect("celery_worker")["Config"]["Env"])
    assert fleet.play("schedule") == 0
