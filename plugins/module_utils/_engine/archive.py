# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archiving rows as they are deleted.

One run writes one file of compressed JSON lines, and a manifest. A batch is a member of the file, and
the order of steps is what keeps every row:

1. the transaction deletes rows, and their lines go into a new member at the end of the file;
2. the member is complete and on the disk (``fsync``);
3. the transaction commits;
4. the manifest says that the file now counts up to there, with the rows and the checksum of all of it.

What lies beyond the manifest's count is of unknown outcome: the run was killed, or lost its connection,
between 2 and 4. A transaction is done as a whole or not at all, so where every row of a member is still in
the table, nothing was deleted, and the member is cut off; otherwise it is made to count. That is settled
before anything else is deleted from the table: here after a failed commit, and at the start of the next
run into the folder. A restore needs no answer, as it leaves alone what is there.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from .archive_beside import Readers
from .archive_copy import EXACT_TEXT
from .archive_file import ArchiveFile
from .archive_manifest import ENDING, ArchivedTable, Manifest, data_name, new_name
from .archive_members import check_options, choose_compression
from .archive_reading import Reading
from .archive_recovery import settle, settle_earlier
from .archive_rows import delete_into
from .database import Database
from .deletion import Deletion
from .errors import (
    ConflictError,
    ConnectionLostError,
    DatabaseError,
    LockTimeoutError,
    StatementTimeoutError,
    UsageError,
)
from .libraries import sa
from .postgresql_settings import set_for_a_transaction
from .sizes import estimate_rows, table_size

_MIB = 1 << 20
#: JSON lines of records, compressed, take no more than this share of what the table takes.
_SHARE_OF_TABLE = 0.25
_MOST_IN_MEMORY = 16 * _MIB
_SMALL_ROW = 1_000
#: With fewer rows in a batch, sessions that read beside it cost as much as they save.
_WORTH_READERS = 5_000


@dataclass(frozen=True)
class ArchivePlace:
    """Where an archive goes, and how it is compressed."""

    folder: Path
    compression: str

    def lacks_space(self, table_bytes: float) -> str | None:
        """Return what is wrong where the folder's disk cannot take rows that have *table_bytes* in their table."""
        needed = int(table_bytes * _SHARE_OF_TABLE) + _MIB
        free = shutil.disk_usage(self.folder).free
        if free >= needed:
            return None
        return (
            f"The archive may need {needed:,} bytes, but only {free:,} are free in {self.folder}. "
            "Free some space or choose another folder. Nothing was deleted."
        )


@dataclass(frozen=True)
class Archived:
    """What a run archived."""

    manifest: str
    rows: int
    bytes: int
    compression: str


def parse_archive(document: Mapping[str, Any]) -> ArchivePlace:
    """Read where to archive.

    :raises UsageError: when the folder cannot be written
    :raises MissingLibraryError: when the compression is not available
    """
    check_options(document, "archive")
    folder = Path(document["path"])
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise UsageError(f"archive: {folder} {what}. Make the folder first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"archive: {folder} cannot be written by this user.")
    return ArchivePlace(folder, choose_compression(document.get("compression") or "auto"))


class Archive(Deletion):
    """Deletes rows into an archive. Where nothing is deleted, no file is made.

    :param manifest: what is known before the first row
    :param describe: tells of a table what the manifest has to
    """

    def __init__(
        self,
        database: Database,
        place: ArchivePlace,
        manifest: Manifest,
        describe: Callable[[Any], ArchivedTable],
    ) -> None:
        super().__init__(database)
        self._folder = place.folder
        self._describe = describe
        name = new_name(manifest.table, datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ"))
        self.path = place.folder / f"{name}{ENDING}"
        self.manifest = replace(manifest, file=data_name(name, place.compression), compression=place.compression)
        self._file: ArchiveFile | None = None
        self._rows: Counter[str] = Counter()
        self._unsettled = False
        self._readers: Readers | None = None
        self._alone = database.kind != "postgresql"
        self._reading: Reading | None = None  #: for what this transaction deletes first

    @property
    def archived(self) -> Archived | None:
        """What is in the archive; ``None`` where nothing was deleted, and so nothing written."""
        if self._file is None:
            return None
        manifest = self.manifest
        return Archived(str(self.path), manifest.rows, manifest.bytes, manifest.compression)

    def most_rows(self, table: Any) -> int | None:
        if self._database.kind == "postgresql":
            return None  # it streams them
        rows = estimate_rows(self._database, table) or self._database.value(
            sa.select(sa.func.count()).select_from(table)
        )
        row_bytes = table_size(self._database, table).table_bytes / max(rows, 1)
        return max(1, int(_MOST_IN_MEMORY / max(row_bytes, _SMALL_ROW)))

    def __enter__(self) -> Archive:
        settle_earlier(self._database, self._folder, self.manifest)
        return self

    def __exit__(self, kind: Any, *_exception: Any) -> None:
        self._go_on_alone()
        if self._file is None:
            return
        try:
            if kind is None:
                self._settle()
                self.manifest.finished = _now()
                self.manifest.complete = True
                with self._file.told():
                    self._file.save()
        finally:
            self._file.close()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self._settle()
        self._rows.clear()
        ended = False
        readers = self._readers  # this transaction may come to have use for some, which the next will have then
        try:
            with self._database.transaction() as connection:
                self._reading = readers.begin() if readers else None
                if self._database.kind == "postgresql":
                    # A server that crashes must not take back a deletion that the manifest counts.
                    settings = {**EXACT_TEXT, "synchronous_commit": "on"}
                    set_for_a_transaction(connection, settings, *(self._reading.shared() if self._reading else ()))
                yield connection
                ended = self._file is not None and self._file.end_member()
        except BaseException as error:
            # Where the commit itself failed, only the table knows whether it was done.
            self._unsettled = ended
            if self._file is not None and not ended:
                self._file.cut()
            if readers:
                readers.forget()
                if _may_be_for_the_readers(error):
                    self._go_on_alone()
                    if not isinstance(error, ConnectionLostError):
                        raise ConflictError(str(error)) from None  # so that the batch is done again
            raise
        finally:
            if readers:
                readers.end()
        if self._file is not None and ended:
            self._file.count_all(self._rows)

    @property
    def reads_ahead(self) -> bool:
        return self._readers is not None

    def foresee(self, table: Any, condition: Any) -> None:
        if self._readers:
            self._readers.foresee(table, condition)

    def delete(self, connection: Any, table: Any, condition: Any) -> int:
        reading, self._reading = self._reading, None
        if reading and reading.is_for(condition):
            count = self._delete_what_is_read(reading, connection, table, condition)
        else:
            count = self._delete_and_read(connection, table, condition)
        self._rows[table.fullname] += count
        return count

    def _delete_and_read(self, connection: Any, table: Any, condition: Any) -> int:
        rows = 0

        def receive(lines: bytes) -> None:
            nonlocal rows
            self._file_for(table).write(lines)
            if not self._alone and not self._readers:
                rows += lines.count(b"\n")
                if rows >= _WORTH_READERS:
                    self._readers = Readers(self._database, self.manifest.compression)

        return delete_into(self._database, connection, table, condition, receive)

    def _delete_what_is_read(self, reading: Reading, connection: Any, table: Any, condition: Any) -> int:
        def take(piece: bytes) -> None:
            self._file_for(table).take_over(reading.compressor, piece)

        count = reading.deleting(partial(super().delete, connection, table, condition), table, condition, take)
        if count:
            take(b"")  # all of it may still be in the compressor
        return count

    def _file_for(self, table: Any) -> ArchiveFile:
        """Return the file, whose manifest knows *table*."""
        if self.manifest.find(table.fullname) is None:
            # Ahead of the rows: whoever settles their outcome has to know the table.
            self.manifest.tables.append(self._describe(table))
            if self._file is not None:
                with self._file.told():
                    self._file.save()
        if self._file is None:
            self._file = ArchiveFile(self.path, self.manifest, new=True)
        return self._file

    def _go_on_alone(self) -> None:
        self._alone = True
        readers, self._readers = self._readers, None
        if readers:
            readers.close()

    def _settle(self) -> None:
        if self._unsettled and self._file is not None:
            settle(self._database, self._file)
        self._unsettled = False


def _may_be_for_the_readers(error: BaseException) -> bool:
    """Whether it may have failed because others read beside it: rows that others hold would hold up one as well."""
    if isinstance(error, (LockTimeoutError, StatementTimeoutError)):
        return isinstance(error, ConflictError)
    return isinstance(error, DatabaseError)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
