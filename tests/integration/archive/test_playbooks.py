# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' way: a cleanup that archives, and the playbook that restores."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.running import PlaybookRun
from support.servers import Database
from support.tables import dump, fill
from support.tables.rows import TASK_RESULT, group_results, task_results

RunPlaybook = Callable[..., PlaybookRun]
CLEANUP, RESTORE = "fleetops.celery.cleanup", "fleetops.celery.restore"


@pytest.mark.parametrize("database_server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("results_version", ["2.6.0"], indirect=True)
def test_cleanup_archives_and_restore_puts_back(dcr: Database, run_playbook: RunPlaybook, tmp_path: Path) -> None:
    fill(dcr, TASK_RESULT, [task_results(40), task_results(7, "FAILURE"), task_results(9, days=1)])
    fill(dcr, "django_celery_results_groupresult", [group_results(3)])
    before = dump(dcr)
    variables: dict[str, Any] = {
        "ansible_connection": "local",
        "celery_database_url": dcr.url,
        "cleanup_archive": {"path": str(tmp_path)},
        "cleanup_restore": {"path": str(tmp_path), "statuses": ["failure"]},
    }

    def run(playbook: str, **more: Any) -> PlaybookRun:
        done = run_playbook(playbook, extra_vars=variables, **more)
        assert done.exit_code == 0, done.output
        return done

    run(CLEANUP, check=True, diff=True)
    assert (dump(dcr), os.listdir(tmp_path)) == (before, [])
    (purged,) = run(CLEANUP, diff=True).results("results_purge")
    assert (purged["deleted"], purged["archive"]["rows"]) == (47, 50)
    emptied = dump(dcr)

    (planned,) = run(RESTORE, check=True, diff=True).results("results_restore")
    assert (planned["changed"], planned["restored"], dump(dcr)) == (True, 7, emptied)
    (failures,) = run(RESTORE, diff=True).results("results_restore")
    assert (failures["changed"], failures["restored"]) == (True, 7)
    del variables["cleanup_restore"]["statuses"]
    (rest,) = run(RESTORE).results("results_restore")
    assert (rest["restored"], rest["present"]) == (43, 7)
    assert dump(dcr) == before
    (again,) = run(RESTORE).results("results_restore")
    assert (again["changed"], again["restored"], again["present"]) == (False, 0, 50)
