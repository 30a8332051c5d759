# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table processing_tasks: tasks that hang fail, and old ones go."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from .deployment import deployment
from .engine.cleaning import clean, cleaning_report
from .engine.errors import TableBusyError
from .engine.table_lock import table_lock


def cleanup_processing(check: bool) -> dict[str, Any]:
    """Fail and delete what the rules select; with *check* only count it."""
    with deployment(read_only=check) as here:
        table = here.table("processing_tasks")
        try:
            with nullcontext() if check else table_lock(here.database, table.profile.table):
                done = clean(here.database, here.policy, table, check=check, steps=("zombies", "purge"))
        except TableBusyError as busy:
            return {"skipped": str(busy), "report": [str(busy)]}
    purge = done.purge
    assert purge is not None
    zombies = [one for result in done.zombies for one in result.rules]
    return {
        "dry_run": check,
        "failed": {one.rule.name: one.matched if check else one.ended for one in zombies},
        "deleted": {one.rule.name: one.matched if check else one.deleted for one in purge.rules},
        "before_count": done.before.total,
        "after_count": done.after.total if done.after else purge.after.total,
        "remaining": purge.remaining,
        "stopped": purge.progress.stopped,
        "report": cleaning_report(done),
    }
