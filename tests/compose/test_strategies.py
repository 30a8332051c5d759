# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to migrate, one after the other, on MariaDB: what is in the schedule then, and after a restart of beat."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.docker import NIGHT, ComposeProject, Images, up
from support.running import PlaybookRun, run_module, run_playbook

BUILTIN = "celery.backend_cleanup"
TASK = "apps.scheduler.tasks.cleanup_celery_results"
#: In the application's own beat_schedule, so that beat makes its row anew at each start.
SCHEDULED = {"name": "cleanup-celery-results", "task": TASK, "crontab": f"0 {NIGHT} * * *"}
#: Known to the database alone.
ADDED = {"name": "nightly-cleanup", "task": TASK, "crontab": "30 2 * * *"}


@pytest.fixture(scope="module")
def books(images: Images) -> Iterator[ComposeProject]:
    with up(f"books-{os.getpid()}-strategies", images, database="mariadb", result_expires=86400) as project:
        yield project


#: What the role says where it knows of nothing that would clean up.
WARNING = "WARNING: nothing is known that deletes old results"


def _run(project: ComposeProject, folder: Path, **variables: Any) -> PlaybookRun:
    """Run the playbook from an inventory that knows the folder and *variables*."""
    host = {"ansible_connection": "local", "celery_compose_project_dir": str(project.folder), **variables}
    inventory = folder / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"hosts": {"books": host}}}), encoding="utf-8")
    done = run_playbook("fleetops.celery.migrate", inventory)
    assert project.password not in done.output
    return done


def _migrate(project: ComposeProject, folder: Path, **variables: Any) -> int:
    """How many tasks changed something."""
    done = _run(project, folder, **variables)
    assert done.exit_code == 0, done.output
    return done.recap["books"]["changed"]


def _migrates_and_stays(
    project: ComposeProject, folder: Path, expected: dict[str, bool | None], **variables: Any
) -> None:
    def assert_schedule() -> None:
        schedule = project.schedule()
        assert {name: schedule.get(name) for name in expected} == expected

    assert _migrate(project, folder, **variables) > 0
    assert_schedule()
    assert _migrate(project, folder, **variables) == 0
    project.restart_beat()
    assert_schedule()
    assert _migrate(project, folder, **variables) == 0


def test_of_nothing_but_the_folder_the_built_in_task_is_disabled(books: ComposeProject, tmp_path: Path) -> None:
    assert books.schedule()[BUILTIN] is True
    _migrates_and_stays(books, tmp_path, {BUILTIN: False, SCHEDULED["name"]: True})


def test_both_run(books: ComposeProject, tmp_path: Path) -> None:
    expected = {BUILTIN: True, SCHEDULED["name"]: True}
    _migrates_and_stays(books, tmp_path, expected, migrate_strategy="both", migrate_own_task=SCHEDULED)


def test_the_built_in_one_is_back_and_one_that_beat_would_make_again_is_disabled(
    books: ComposeProject, tmp_path: Path
) -> None:
    expected = {BUILTIN: True, SCHEDULED["name"]: False}
    _migrates_and_stays(books, tmp_path, expected, migrate_strategy="builtin", migrate_own_task=SCHEDULED)
    assert _migrate(books, tmp_path, migrate_own_task=SCHEDULED) > 0
    schedule = books.schedule()
    assert (schedule[BUILTIN], schedule[SCHEDULED["name"]]) == (False, True)


def test_the_built_in_one_is_back_and_one_of_our_making_is_removed(books: ComposeProject, tmp_path: Path) -> None:
    assert _migrate(books, tmp_path, migrate_own_task=ADDED) > 0
    times = books.database().execute(
        "SELECT t.task, c.hour, c.minute FROM django_celery_beat_periodictask AS t "
        "JOIN django_celery_beat_crontabschedule AS c ON c.id = t.crontab_id WHERE t.name = :name",
        name=ADDED["name"],
    )
    assert [tuple(row) for row in times] == [(TASK, "2", "30")]
    expected = {BUILTIN: True, ADDED["name"]: None}
    _migrates_and_stays(books, tmp_path, expected, migrate_strategy="builtin", migrate_own_task=ADDED)


def test_a_row_that_beat_makes_again_is_not_taken_for_removed(books: ComposeProject, tmp_path: Path) -> None:
    """The application sets result_expires; whether beat has been restarted by then does not matter."""
    for restart in (True, False):
        done = _run(
            books, tmp_path, migrate_builtin_state="absent", migrate_restart_beat=restart, migrate_own_task=SCHEDULED
        )
        assert done.exit_code == 2
        assert "the next start of beat makes the row again, enabled" in done.output
    assert BUILTIN not in books.schedule()
    assert _migrate(books, tmp_path, migrate_own_task=SCHEDULED) > 0
    assert books.schedule()[BUILTIN] is False


def test_the_own_task_has_to_run_at_its_time_in_its_zone(books: ComposeProject, tmp_path: Path) -> None:
    where = {"name": SCHEDULED["name"]}
    assert _migrate(books, tmp_path, migrate_own_task={**where, "timezone": "UTC"}) == 0
    # Blanks are no matter, whether the row is only looked at or set.
    assert _migrate(books, tmp_path, migrate_own_task={**where, "crontab": f"0  {NIGHT} * * *"}) == 0
    assert _migrate(books, tmp_path, migrate_own_task={**SCHEDULED, "crontab": f" 0 {NIGHT}  * * *"}) == 0
    done = _run(books, tmp_path, migrate_own_task={**where, "timezone": "Europe/Berlin"})
    assert done.exit_code == 2
    assert f"enabled at 0 {NIGHT} * * * (UTC)" in done.output
    assert "Expected of the own cleanup task: enabled, Europe/Berlin" in done.output


def test_that_nothing_would_clean_up_is_told(books: ComposeProject, tmp_path: Path) -> None:
    assert WARNING in _run(books, tmp_path).output
    assert WARNING not in _run(books, tmp_path, migrate_own_task=SCHEDULED).output
    for task, enough in (("get_cleanup_statistics", False), ("run_policy", True)):
        ours = {"name": "maintenance", "task": f"celery_maintenance.{task}", "crontab": "0 2 * * *"}
        run_module("periodic_task", {"compose": {"project_dir": str(books.folder)}, **ours})
        assert (WARNING not in _run(books, tmp_path).output) is enough
    assert WARNING not in _run(books, tmp_path, migrate_strategy="both").output


def test_a_rebuild_that_failed_is_made_up_for_in_a_folder_that_is_no_checkout(
    books: ComposeProject, tmp_path: Path
) -> None:
    def migrate(said: str, rebuild: str) -> PlaybookRun:
        command = {"migrate_pull_command": ["echo", said], "migrate_pull_changed": "^newer"}
        return _run(books, tmp_path, **command, migrate_rebuild_command=[rebuild])

    assert migrate("newer", "false").exit_code == 2
    assert migrate("nothing", "true").recap["books"]["changed"] > 0
    assert migrate("nothing", "false").exit_code == 0
    assert not list(books.folder.glob(".fleetops*"))
