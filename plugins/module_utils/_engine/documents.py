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
    from .census import Census
    from .purge_result import PurgeResult
    from .reclaim import ReclaimResult
    from .restore import RestoreResult
    from .supporting import SupportResult
    from .zombies import ZombieResult

Document = dict[str, Any]

_SHOWN_ROWS = 100


def purge_document(result: PurgeResult) -> Document:
    seconds = result.seconds
    return {
        "changed": result.changed,
        "matched": result.matched,
        "deleted": result.deleted,
        "rules": [
            {
                "name": one.rule.name,
                "matched": one.matched,
                "deleted": one.deleted,
                "note": one.note,
            }
            for one in result.rules
        ],
        "related": [asdict(one) for one in result.related],
        "protected": result.protected,
        "referenced": result.referenced,
        "before": _census(result.before),
        "after": _census(result.after),
        "stopped": result.progress.stopped,
        "stopped_reason": result.progress.reason,
        "strategy": result.strategy,
        "strategy_reason": result.strategy_reason,
        "pauses": [{"gate": gate, "seconds": round(held, 1)} for gate, held in result.progress.pauses.items()],
        "remaining": result.remaining,
        "batches": result.progress.batches,
        "duration_seconds": round(seconds, 3),
        "rows_per_second": round(result.deleted / seconds) if seconds > 0 else 0,
        "archive": asdict(result.archive) if result.archive else None,
    }


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
        "tables": [asdict(one) for one in result.tables],
        "manifests": result.manifests,
    }


def _census(census: Census) -> Document:
    size = size_document(census.size)
    return {
        **size,
        "total": census.total,
        "estimates": [*(["total"] if census.estimated else []), *size["estimates"]],
        "by_status": [{"status": status, "count": count} for status, count in census.by_status.items()],
    }
