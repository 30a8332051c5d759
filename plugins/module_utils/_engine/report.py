# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results as lines for people: numbers with thousands separators, before → after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .wording import Lines, format_bytes, record_words, size_words

if TYPE_CHECKING:  # a module loads what it returns, not what other modules do
    from .indexes import Index
    from .reclaim import ReclaimResult
    from .restore import RestoreResult
    from .sizes import Size
    from .supporting import SupportingIndex, SupportResult
    from .zombies import ZombieResult


def zombie_report(results: Sequence[ZombieResult]) -> Lines:
    lines = []
    for result in results:
        verb = "would end" if result.check else "ended"
        number = result.matched - result.unwritable if result.check else result.ended
        lines.append(f"{result.table}: {verb} {record_words(number)} whose task is dead")
        for one in result.rules:
            number = one.matched - one.unwritable if result.check else one.ended
            lines.append(f"  - {one.rule.name}: {record_words(number)} ({one.rule.describe()} → {one.status})")
            if one.unwritable:
                lines.append(
                    f"    {record_words(one.unwritable)} left as they are: their result is in an "
                    "encoding that cannot be written here"
                )
        if result.left:
            lines.append(f"  {record_words(result.left)} left: other sessions hold them, or their task has gone on")
        if result.examined:
            verdicts = Counter(one.verdict for one in result.examined)
            words = ", ".join(f"{number:,} {verdict}" for verdict, number in sorted(verdicts.items()))
            lines.append(f"  The containers were asked about {record_words(len(result.examined))}: {words}")
    return lines


def reclaim_report(result: ReclaimResult) -> Lines:
    if not result.steps:
        lines = [f"{result.table}: nothing to reclaim, {result.left_out}"]
    elif result.check:
        lines = [f"{result.table}: would run {', '.join(result.steps)} (size {size_words(result.before)})"]
    else:
        lines = [f"{result.table}: {', '.join(result.steps)}, {', '.join(_gains(result))}"]
        if result.left_out:
            lines.append(f"  Left out: {result.left_out}")
    lines += [f"  Note: {note}" for note in result.notes]
    if result.held_back_by:
        lines.append(f"  Keeps dead rows from being removed: {result.held_back_by[0].describe()}")
    return lines


def _gains(result: ReclaimResult) -> Lines:
    words = [f"size {size_words(result.before)} → {size_words(result.after)}"]
    if result.reclaimed_bytes:
        words.append(f"{format_bytes(result.reclaimed_bytes)} returned to the disk")
    freed = (result.before.dead_rows or 0) - (result.after.dead_rows or 0)
    if freed > 0 and not result.reclaimed_bytes:
        words.append(f"the space of {freed:,} dead rows can be used again")
    return words


def support_report(result: SupportResult) -> Lines:
    made = [index for index in result.indexes if index.created]
    if not made:
        return [f"{result.table}: no index is missing"]
    count = f"{len(made)} index{'' if len(made) == 1 else 'es'}"
    lines = [f"{result.table}: {'would make' if result.check else 'made'} {count}"]
    return lines + [f"  - {_index(index, index.table)}" for index in made]


def restore_report(result: RestoreResult) -> Lines:
    verb = "would put back" if result.check else "put back"
    lines = [
        f"{one.table}: {verb} {record_words(one.restored)}"
        + (f", {record_words(one.present)} left as they are there" if one.present else "")
        for one in result.tables
    ]
    return [*lines, *(f"  Note: {note}" for note in result.notes)] or ["No archived record is selected"]


def restore_diff(result: RestoreResult) -> dict[str, Any]:
    """Return what was put back as ``--diff`` shows it."""
    return {
        "before_header": "records put back",
        "after_header": "records put back",
        "before": "",
        "after": "".join(f"{one.table}: {one.restored:,}\n" for one in result.tables if one.restored),
    }


def size_diff(result: ReclaimResult) -> dict[str, Any]:
    """Return what was done as ``--diff`` shows it; sizes are known only afterwards."""
    before, after = _size_text(result.before), _size_text(result.after)
    if result.check:
        after += "".join(f"to run: {step}\n" for step in result.steps)
    return {
        "before_header": result.table,
        "after_header": result.table,
        "before": before,
        "after": after,
    }


def index_diff(result: SupportResult) -> dict[str, Any]:
    """Return the indexes before and after, as ``--diff`` shows them."""
    before = [_index(index, table) for table, indexes in result.before.items() for index in indexes]
    made = [_index(index, index.table) for index in result.indexes if index.created]
    return {
        "before_header": result.table,
        "after_header": result.table,
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in [*before, *made]),
    }


def _index(index: Index | SupportingIndex, table: str) -> str:
    columns = ", ".join(column or "…" for column in index.columns)
    return f"{index.name} on {table} ({columns}){f' where {index.where}' if index.where else ''}"


def _size_text(size: Size) -> str:
    dead = "" if size.dead_rows is None else f"dead rows: {size.dead_rows:,}\n"
    return f"table: {size.table_bytes:,} bytes\nindexes: {size.index_bytes:,} bytes\n{dead}"
