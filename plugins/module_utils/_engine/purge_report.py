# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a purge has done, as plain data and as lines for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .census_report import census_document, census_total
from .wording import Lines, format_bytes, record_words, size_words

if TYPE_CHECKING:
    from .purge_result import PurgeResult

Document = dict[str, Any]

_STRATEGIES = {
    "rewrite": "keeping the rows that stay and emptying the table, under an exclusive lock",
    "truncate": "emptying the table at once",
}


def purge_report(result: PurgeResult) -> Lines:
    check = result.check
    part = f"{result.going:,} of " if check and result.going < result.matched else ""
    lines = [
        f"{result.table}: {'would delete' if check else 'deleted'} "
        f"{part}{record_words(result.matched if check else result.deleted)} "
        f"({census_total(result.before)} → {census_total(result.after)})"
    ]
    for one in result.rules:
        if one.note:
            lines.append(f"  - {one.rule.name}: {one.note}")
            continue
        number = one.matched if check else one.deleted
        lines.append(f"  - {one.rule.name}: {record_words(number)} ({one.rule.describe()})")
    for related in result.related:
        number = related.matched if check else related.deleted
        lines.append(f"  - {related.table}: {record_words(number)} with them")
    if result.protected:
        lines.append(f"  {record_words(result.protected)} kept: their chord still waits for them")
    if result.referenced:
        lines.append(f"  {record_words(result.referenced)} kept: rows of other tables point at them")
    if result.strategy_reason:
        lines.append(f"  In batches, for {result.strategy_reason}")
    elif result.strategy != "batches":
        lines.append(f"  By {_STRATEGIES[result.strategy]}")
    if check:
        if result.progress.ended_early:
            lines.append(f"  Would stop early ({result.progress.stopped}): {result.progress.reason}")
        return lines
    for gate, held in result.progress.pauses.items():
        lines.append(f"  Paused for {held:.0f} s by the gate {gate}")
    if result.progress.ended_early:
        match = "matches" if result.remaining == 1 else "match"
        lines.append(
            f"  Stopped early ({result.progress.stopped}): {result.progress.reason}; "
            f"{record_words(result.remaining)} still {match}"
        )
    if result.deleted:
        lines.append(
            f"  {result.progress.batches:,} batches in {result.seconds:.1f} s, "
            f"size {size_words(result.before.size)} → {size_words(result.after.size)}"
        )
    if result.archive:
        archive = result.archive
        lines.append(
            f"  {record_words(archive.rows)} archived, {format_bytes(archive.bytes)} of {archive.compression}: "
            f"{archive.manifest}"
        )
    return lines


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
        "before": census_document(result.before),
        "after": census_document(result.after),
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
