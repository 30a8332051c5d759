# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Task results: old ones and revoked ones go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .deployment import deployment
from .engine.cleaning import clean
from .engine.errors import TableBusyError, UsageError
from .engine.rules import parse_purge_rules
from .engine.table_lock import table_lock


def cleanup_results(days_to_keep: int, remove_revoked: bool) -> dict[str, Any]:
    """Delete finished results older than *days_to_keep* days, and revoked ones of any age."""
    if isinstance(days_to_keep, bool) or not isinstance(days_to_keep, int) or days_to_keep < 1:
        raise UsageError(f"days_to_keep must be a whole number from 1 on, not {days_to_keep!r}.")
    if not isinstance(remove_revoked, bool):
        raise UsageError(f"remove_revoked must be true or false, not {remove_revoked!r}.")
    # A revoked result that is old counts as old.
    rules: list[dict[str, Any]] = [{"name": "old", "older_than": f"{days_to_keep}d"}]
    rules += [{"name": "revoked", "statuses": ["REVOKED"]}] if remove_revoked else []
    with deployment() as here:
        table = here.table("django_celery_results", "celery_database")
        only_these = replace(table, purge_rules=parse_purge_rules(rules), zombie_rules=())
        policy = replace(here.policy, high_frequency_tasks=())
        try:
            with table_lock(here.database, table.profile.table):
                done = clean(here.database, policy, only_these, steps=("purge",))
        except TableBusyError as busy:
            return {"skipped": str(busy)}
    purge, after = done.purge, done.after
    assert purge is not None
    assert after is not None
    deleted = {one.rule.name: one.deleted for one in purge.rules}
    return {
        "total_deleted": purge.deleted,
        "deleted_old": deleted["old"],
        "deleted_revoked": deleted.get("revoked", 0),
        "before_count": done.before.total,
        "after_count": after.total,
        "days_to_keep": days_to_keep,
        "remaining": purge.remaining,
        "stopped": purge.progress.stopped,
    }


def results_report(done: dict[str, Any]) -> list[str]:
    """Return the lines that the log gets."""
    if "skipped" in done:
        return [str(done["skipped"])]
    lines = [
        f"Celery results cleanup completed: Deleted {done['total_deleted']:,} records "
        f"({done['before_count']:,} → {done['after_count']:,})",
        f"  - Deleted old: {done['deleted_old']:,} records older than {done['days_to_keep']} days",
        f"  - Deleted revoked: {done['deleted_revoked']:,} REVOKED tasks",
    ]
    if done["remaining"]:
        lines.append(f"  - Left for the next run: {done['remaining']:,} records ({done['stopped']})")
    return lines
