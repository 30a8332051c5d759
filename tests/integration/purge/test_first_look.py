# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A purge that has nothing to do is over after a look at each table, and misses nothing by that."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import CleanupError, UsageError
from support.engine import purge as counted_purge
from support.running.collection import clean_environment, link_checkout
from support.servers import Database
from support.tables import create_django_celery_results, dump, fill
from support.tables.rows import CHORD_COUNTER, GROUP_RESULT, TASK_RESULT, group_results, task_results

YOUNG, HANGING = 30, 3

#: As modules and commands do it, which count the rows by status only where somebody asks for that.
purge = partial(counted_purge, by_status=False)

_LOADED = """
import sys

from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.limits import Limits
from ansible_collections.fleetops.celery.plugins.module_utils._engine.profiles import find_profile
from ansible_collections.fleetops.celery.plugins.module_utils._engine.purge import purge
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable

profile = find_profile("django_celery_results")
with Database(sys.argv[1]) as database:
    done = purge(database, RecordTable(database, profile), profile.purge_rules, Limits())
print(done.deleted, *(name.rpartition(".")[2] for name in sys.modules if "._engine." in name))
"""


@pytest.fixture
def young(make_database: Callable[..., Database]) -> Database:
    """Tables whose rows all stay."""
    database = make_database(create_django_celery_results)
    fill(database, TASK_RESULT, [task_results(YOUNG, days=1), task_results(HANGING, "STARTED", days=100)])
    fill(database, GROUP_RESULT, [group_results(YOUNG, days=1)])
    return database


def test_nothing_to_do_is_told_as_ever(young: Database) -> None:
    before = dump(young)
    done, counted = purge(young), counted_purge(young)
    assert dump(young) == before
    assert {**done, "duration_seconds": 0} == {**counted, "duration_seconds": 0}
    assert (done["changed"], done["stopped"], done["before"]["total"]) == (False, "drained", YOUNG + HANGING)


def _loaded(database: Database) -> tuple[int, set[str]]:
    program = subprocess.run(
        [sys.executable, "-c", _LOADED, database.url],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment({"PYTHONPATH": str(link_checkout())}),
    )
    deleted, *names = program.stdout.split()
    return int(deleted), set(names)


def test_what_deletes_is_loaded_only_where_there_is_something_to_delete(young: Database) -> None:
    deleting = {"purging", "batches", "chords", "references"}
    deleted, loaded = _loaded(young)
    assert (deleted, loaded & deleting) == (0, set())
    fill(young, TASK_RESULT, [task_results(1, days=100)])
    deleted, loaded = _loaded(young)
    assert (deleted, loaded & deleting) == (1, deleting)


def test_what_follows_goes_though_no_record_does(young: Database) -> None:
    fill(young, GROUP_RESULT, [group_results(2, days=100)])
    done = purge(young)
    assert done["related"] == [{"table": GROUP_RESULT, "matched": 2, "deleted": 2}]
    assert young.count(GROUP_RESULT) == YOUNG
    assert purge(young)["changed"] is False


def test_the_counter_of_a_chord_that_cannot_complete_goes_though_no_record_does(young: Database) -> None:
    fill(young, TASK_RESULT, [task_results(1, "REVOKED", days=100, task_id="a member")])
    young.execute(
        f"INSERT INTO {CHORD_COUNTER} (group_id, sub_tasks, count) VALUES ('a group', :members, 1)",
        members=json.dumps([[["a member", None], None]]),
    )
    done = purge(young, [{"statuses": ["SUCCESS", "FAILURE"], "older_than": "7d"}])
    assert done["related"] == [{"table": CHORD_COUNTER, "matched": 1, "deleted": 1}]
    assert (done["deleted"], young.count(CHORD_COUNTER)) == (0, 0)


@pytest.mark.parametrize("check", [True, False], ids=["check", "do"])
def test_what_is_wrong_is_told_even_so(young: Database, check: bool, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be asked"):
        purge(young, gates={"condition": "SELECT number FROM nowhere"}, check=check)
    with pytest.raises(CleanupError, match="does not exist"):
        purge(young, archive={"path": str(tmp_path / "away")}, check=check)
