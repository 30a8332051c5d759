# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting archived rows back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .archive_manifest import (
    ArchivedTable,
    Manifest,
    Values,
    find_manifests,
    last_complete,
    read_lines,
    read_manifest,
    verify,
)
from .database import Database
from .errors import UsageError
from .progress import Progress, telling_what_was_done
from .restore_selection import Choice, Wanted
from .restore_target import Target
from .table_lock import table_lock
from .wording import record_words

_ROWS_AT_ONCE = 300


@dataclass
class RestoredCount:
    """Rows of one table: put back (in check mode, to be put back), left alone as they were there, and neither."""

    table: str
    restored: int = 0
    present: int = 0
    conflicts: int = 0


@dataclass
class RestoreResult:
    """What a restore did, or in check mode what it would do."""

    manifests: list[str]
    check: bool
    tables: list[RestoredCount] = field(default_factory=list)

    @property
    def restored(self) -> int:
        return sum(one.restored for one in self.tables)

    @property
    def present(self) -> int:
        return sum(one.present for one in self.tables)

    @property
    def conflicts(self) -> int:
        return sum(one.conflicts for one in self.tables)

    @property
    def notes(self) -> list[str]:
        return [
            f"{one.table}: {record_words(one.conflicts)} could not be put back, since other rows have their keys now."
            for one in self.tables
            if one.conflicts
        ]


def restore(database: Database, path: Path, wanted: Wanted, *, check: bool = False) -> RestoreResult:
    """Put back the rows of the archive at *path*: a manifest, or a folder with all its manifests.

    Rows that are there are left alone, and so are those that have the keys of others now. Everything is verified before
    the first row is written.

    :raises UsageError: when an archive does not match its manifest, or its rows do not fit
    """
    archives = [(one, read_manifest(one)) for one in _manifests(path)]
    targets: dict[str, Target] = {}
    for one, manifest in archives:
        verify(one, manifest)
        if manifest.kind != database.kind:
            raise UsageError(
                f"{one} was archived from {manifest.database}, and its values are in the form of that kind of server; "
                f"{database.name} is of another. Nothing was restored."
            )
        for table in manifest.tables:
            target = targets.setdefault(table.name, Target(database, table.name))
            target.see_that_it_fits(table, one)
    result = RestoreResult([str(one) for one, _manifest in archives], check)
    progress = Progress()
    restores = [_Restore(database, one, manifest, targets, wanted, result, progress) for one, manifest in archives]
    with ExitStack() as held, telling_what_was_done(progress, "restored"):
        for name in sorted({manifest.table for _one, manifest in archives} if not check else ()):
            held.enter_context(table_lock(database, name))
        for restoring in restores:
            restoring.run()
    return result


def _manifests(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = find_manifests(path)
    if not found:
        raise UsageError(f"{path} holds no archive.")
    # The newest first: of a row that was archived twice, its last state is put back.
    return sorted(found, key=lambda one: read_manifest(one).started, reverse=True)


class _Restore:
    """Putting back one archive."""

    def __init__(
        self,
        database: Database,
        path: Path,
        manifest: Manifest,
        targets: dict[str, Target],
        wanted: Wanted,
        result: RestoreResult,
        progress: Progress,
    ) -> None:
        self._database = database
        self._path = path
        self._manifest = manifest
        self._targets = targets
        self._choice = Choice(wanted, manifest)
        self._result = result
        self._progress = progress
        self._displaced: set[Any] = set()  #: keys of records that are not in the table under them

    def run(self) -> None:
        # Children lie before their record in the file, for so they were deleted.
        self._pass(lambda table: table.parent is None)
        if any(table.parent for table in self._manifest.tables):
            self._pass(lambda table: table.parent is not None)

    def _pass(self, takes: Callable[[ArchivedTable], bool]) -> None:
        tables = {table.name: table for table in self._manifest.tables if takes(table)}
        waiting: dict[str, list[Values]] = {name: [] for name in tables}
        for name, values in self._lines():
            table = tables.get(name)
            if table is None or not self._choice.takes(table, values):
                continue
            if table.parent and values[table.places([table.parent])[0]] in self._displaced:
                self._count(name).conflicts += 1  # with that key, it would belong to another record
                continue
            waiting[name].append(values)
            if len(waiting[name]) == _ROWS_AT_ONCE:
                self._put_back(table, waiting[name])
                waiting[name] = []
        for name, rows in waiting.items():
            self._put_back(tables[name], rows)

    def _lines(self) -> Iterator[tuple[str, Values]]:
        # To the end of the file: what a run that was killed had not counted may be deleted all the same.
        with open(self._path.with_name(self._manifest.file), "rb") as file:
            end = last_complete(file, self._manifest)
            file.seek(0)
            yield from read_lines(file, self._manifest.compression, end)

    def _put_back(self, table: ArchivedTable, rows: Sequence[Values]) -> None:
        if not rows:
            return
        target = self._targets[table.name]
        compared = target.compare(table, rows, remember=self._result.check)
        if compared.missing and not self._result.check:
            target.insert(table, compared.missing)
            self._progress.changed += len(compared.missing)
        if table.name == self._manifest.table:
            (place,) = table.places(table.identity[:1])
            self._displaced.update(row[place] for row in compared.displaced)
        count = self._count(table.name)
        count.restored += len(compared.missing)
        count.present += len(rows) - len(compared.missing) - compared.conflicts
        count.conflicts += compared.conflicts

    def _count(self, name: str) -> RestoredCount:
        for one in self._result.tables:
            if one.table == name:
                return one
        self._result.tables.append(RestoredCount(name))
        return self._result.tables[-1]
