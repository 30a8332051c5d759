# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statistics as plain data, and as lines for people.

Apart from the other results: a module takes along all that it names, and statistics need little of the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .durations import format_duration
from .sizes import size_document
from .wording import Lines, format_bytes, size_words

if TYPE_CHECKING:  # a module loads what it returns, not what other modules do
    from .statistics import Share, Statistics


def statistics_document(statistics: Statistics) -> dict[str, Any]:
    sessions = statistics.sessions
    return {
        "table": statistics.table,
        "profile": statistics.profile,
        "total": statistics.total,
        **size_document(statistics.size),
        "by_status": [_share("status", one) for one in statistics.by_status],
        "by_task": [_share("task", one) for one in statistics.by_task],
        "created_in_period": statistics.created_in_period,
        "oldest": _iso(statistics.oldest),
        "newest": _iso(statistics.newest),
        "overdue": [{"rule": rule.name, "count": count} for rule, count in statistics.overdue],
        "sessions": asdict(sessions) if sessions else None,
    }


def statistics_report(statistics: Statistics) -> Lines:
    size = statistics.size
    table, indexes = format_bytes(size.table_bytes), format_bytes(size.index_bytes)
    lines = [
        f"{statistics.table} ({statistics.profile})",
        f"  Total records: {statistics.total:,}",
        f"  Size: {size_words(size)} (table {table}, indexes {indexes})",
    ]
    if size.dead_rows is not None:
        lines.append(f"  Dead rows: {size.dead_rows:,} (estimate)")
    if statistics.total:
        lines += ["  By status:", *_shares(statistics.by_status)]
    if statistics.by_task and statistics.total:
        shown = len(statistics.by_task)
        of = f" (top {shown} of {statistics.tasks:,})" if statistics.tasks > shown else ""
        lines += [f"  By task{of}:", *_shares(statistics.by_task)]
    period = format_duration(statistics.period)
    if statistics.created_in_period is not None:
        lines.append(f"  Created in the last {period}: {statistics.created_in_period:,}")
    if statistics.oldest and statistics.newest:
        lines.append(f"  From {statistics.oldest:%Y-%m-%d %H:%M} to {statistics.newest:%Y-%m-%d %H:%M} UTC")
    if statistics.overdue:
        lines.append("  Needs attention:")
        lines += [f"    {rule.name} ({rule.describe()}): {count:,}" for rule, count in statistics.overdue]
    sessions = statistics.sessions
    if sessions:
        lines += [
            f"  Sessions closed in the last {period}: {sessions.total_closed:,} "
            f"({sessions.no_progress_count:,} without progress, "
            f"{sessions.avg_duration_minutes:g} minutes on average)",
            f"  Sessions active now: {sessions.total_active:,}",
        ]
    return lines


def _shares(shares: Sequence[Share]) -> Lines:
    labels = [share.label if share.label is not None else "(no name)" for share in shares]
    wide = max(map(len, labels), default=0)
    most = max((len(f"{share.count:,}") for share in shares), default=0)
    return [
        f"    {label:<{wide}} : {share.count:>{most},} ({share.percent:5.1f}%)" for label, share in zip(labels, shares)
    ]


def _share(word: str, share: Share) -> dict[str, Any]:
    return {word: share.label, "count": share.count, "percent": share.percent}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
