# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results as plain data: what modules return and ``--json`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .sizes import size_document

if TYPE_CHECKING:  # a module loads what it returns, not what other modules do
    from .reclaim import ReclaimResult
    from .restore import RestoreResult
    from .supporting import SupportResult
    from .zombies import ZombieResult

Document = dict[str, Any]

_SHOWN_ROWS = 100


def zombie_document(results: Sequence[ZombieResult]) -> Document:
    """Return the results of one record table and of the tables with rules of their own."""
    return {
        "changed": any(result.changed for result in results),
        "matched": sum(result.matched for result in results),
        # Not "failed": Ansible takes that key for a failed task.
        "ended": sum(result.ended for result in results),
        "rules": [
            {
                "name": one.rule.name,
                "table": one.table,
                "set_status": one.status,
                "matched": one.matched,
                "ended": one.ended,
                "unwritable": one.unwritable,
            }
            for result in results
            for one in result.rules
        ],
        "rows": [asdict(row) for result in results for row in result.rows][:_SHOWN_ROWS],
        "verdicts": [
            {
                "table": result.table,
                "identity": str(one.identity),
                "task": one.task,
                "status": one.status,
                "host": one.owner.host if one.owner else None,
                "pid": one.owner.pid if one.owner else None,
                "verdict": one.verdict,
            }
            for result in results
            for one in result.examined[:_SHOWN_ROWS]
        ],
    }


def reclaim_document(result: ReclaimResult) -> Document:
    return {
        "changed": result.changed,
        "before": size_document(result.before),
        "after": size_document(result.after),
        "reclaimed_bytes": result.reclaimed_bytes,
        "steps": result.steps,
        "left_out": result.left_out,
        "notes": result.notes,
        "indexes": [
            {
                "name": one.name,
                "size_bytes": one.size_bytes,
                "free_percent": round(one.free_percent, 1),
                "estimate": one.estimate,
            }
            for one in result.indexes
        ],
        "held_back_by": [asdict(one) for one in result.held_back_by],
    }


def support_document(result: SupportResult) -> Document:
    return {
        "changed": result.changed,
        "indexes": [{**asdict(index), "columns": list(index.columns)} for index in result.indexes],
    }


def restore_document(result: RestoreResult) -> Document:
    return {
        "changed": result.restored > 0,
        "restored": result.restored,
        # Not "skipped": Ansible takes that key for a task that did not run.
        "present": result.present,
        "conflicts": result.conflicts,
        "tables": [asdict(one) for one in result.tables],
        "manifests": result.manifests,
    }
