# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settling what a run left that was killed: whether the rows at the end of its archive were deleted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from .archive_file import ArchiveFile
from .archive_manifest import ArchivedTable, Manifest, Values, find_manifests, parse_line, read_blocks, read_manifest
from .archive_rows import as_it_is, bound, matching
from .database import Database
from .errors import ArchiveError, UsageError
from .libraries import sa

_ROWS_AT_ONCE = 200


def settle_earlier(database: Database, folder: Path, ours: Manifest) -> None:
    """Settle the archives of earlier runs on the same table of the same database."""
    for path in find_manifests(folder):
        try:
            manifest = read_manifest(path)
        except UsageError:
            continue  # not ours to judge
        if manifest.complete or (manifest.database, manifest.table) != (ours.database, ours.table):
            continue
        if not path.with_name(manifest.file).exists():
            continue  # somebody has taken it away, and with it what there was to settle
        try:
            file = ArchiveFile(path, manifest, new=False)
        except BlockingIOError:
            continue  # that run is still at work
        try:
            if file.has_tail():
                file.digest_again()
                settle(database, file)
        finally:
            file.close()


def settle(database: Database, file: ArchiveFile) -> None:
    """Make the members beyond the manifest's count part of the archive, or cut them off.

    The rows of a member were deleted together or not at all. Where all are there, none was; where one is missing, all
    were, and those that are there came back since, such as by a restore of some. Or somebody else deleted it, and then
    rows are archived that are still there: that loses none, where a cut might.
    """
    manifest = file.manifest
    rows: Counter[str] = Counter()
    file.data.seek(manifest.bytes)
    deleted = False
    settled: list[tuple[int, Counter[str]]] = []
    try:
        for lines, end in read_blocks(file.data, manifest.compression):
            rows.update(parse_line(line)[0] for line in lines)
            deleted = deleted or not _all_are_there(database, manifest, lines)
            if end is not None:
                if not deleted:
                    break
                settled.append((end, rows))
                rows, deleted = Counter(), False
    except ArchiveError:
        pass  # it never came to the disk as a whole, so its rows were not deleted
    for end, counted in settled:
        file.count(end, counted)
    file.cut()


def _all_are_there(database: Database, manifest: Manifest, lines: list[bytes]) -> bool:
    by_table: dict[str, list[Values]] = {}
    for name, values in map(parse_line, lines):
        by_table.setdefault(name, []).append(values)
    for name, rows in by_table.items():
        table = manifest.find(name)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            if table is not None and _count(database, table, some) < len(some):
                return False
    return True


def _count(database: Database, table: ArchivedTable, rows: list[Values]) -> int:
    """Return how many of *rows* are in the table."""
    schema, _dot, bare = table.name.rpartition(".")
    columns: list[Any] = [sa.column(name) for name in table.identity]
    places = table.places(table.identity)
    forms = [table.columns[place]["form"] for place in places]
    wanted = [[as_it_is(bound(row[place], form)) for place, form in zip(places, forms)] for row in rows]
    live: Any = sa.table(bare, *columns, schema=schema or None)
    # Locked, so that a commit that the server has yet to finish for a session that died is waited for.
    return len(database.rows(sa.select(*live.c).where(matching(list(live.c), wanted)).with_for_update()))
