# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file of an archive, as it is written: a member for each transaction, and a manifest that follows."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .archive_manifest import Manifest, write_manifest
from .archive_members import Compressor, new_member
from .errors import ArchiveError

_CHUNK = 1 << 20


class ArchiveFile:
    """The file that belongs to *manifest*, locked: a run that was killed holds no lock.

    :param path: of the manifest
    :raises BlockingIOError: when another run holds the file
    """

    def __init__(self, path: Path, manifest: Manifest, *, new: bool) -> None:
        self.path = path
        self.manifest = manifest
        self._compressor: Compressor | None = None
        with self.told():
            name = path.with_name(manifest.file)
            flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if new else 0)
            # Without a buffer: what a full disk did not take would stay in it, and come out with the next write.
            self.data = open(os.open(name, flags, 0o600), "r+b", buffering=0)  # noqa: SIM115 (closed by close)
            try:
                fcntl.flock(self.data, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.data.close()
                raise
            self._digest = hashlib.sha256()
            if new:
                self.save()
                _sync_folder(path.parent)

    def close(self) -> None:
        self.data.close()

    def write(self, text: bytes) -> None:
        """Write to the member of this transaction, which begins with the first text."""
        with self.told():
            self._compressor = self._compressor or new_member(self.manifest.compression)
            self._append(self._compressor.compress(text))

    def take_over(self, compressor: Compressor, piece: bytes) -> None:
        """Write *piece*, which comes from *compressor*, as the beginning of this transaction's member.

        :param compressor: goes on with the member
        """
        with self.told():
            self._compressor = compressor
            self._append(piece)

    def end_member(self) -> bool:
        """Bring the member to the disk; return whether there is one."""
        if self._compressor is None:
            return False
        with self.told():
            self._append(self._compressor.flush())
            self._compressor = None
            os.fsync(self.data.fileno())
        return True

    def count(self, end: int, rows: Mapping[str, int]) -> None:
        """Let the file count up to *end*, which brings *rows* of each table."""
        with self.told():
            self.data.seek(self.manifest.bytes)
            while (left := end - self.data.tell()) > 0:
                self._digest.update(self.data.read(min(_CHUNK, left)))
            self.manifest.bytes = end
            self.manifest.sha256 = self._digest.hexdigest()
            self.manifest.rows += sum(rows.values())
            for table in self.manifest.tables:
                table.rows += rows.get(table.name, 0)
            self.save()

    def count_all(self, rows: Mapping[str, int]) -> None:
        self.count(self.data.seek(0, os.SEEK_END), rows)

    def cut(self) -> None:
        """Drop what does not count."""
        self._compressor = None
        with self.told():
            self.data.seek(self.manifest.bytes)
            self.data.truncate()

    def has_tail(self) -> bool:
        return self.data.seek(0, os.SEEK_END) > self.manifest.bytes

    def digest_again(self) -> None:
        """Take up a file that another run has begun."""
        with self.told():
            self.data.seek(0)
            while (left := self.manifest.bytes - self.data.tell()) > 0:
                piece = self.data.read(min(_CHUNK, left))
                if not piece:
                    raise ArchiveError(f"{self.data.name} is shorter than {self.path.name} says.")
                self._digest.update(piece)

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self.data.write(rest) :]

    def save(self) -> None:
        write_manifest(self.path, self.manifest)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say in words why a file cannot be written."""
        try:
            yield
        except BlockingIOError:
            raise
        except OSError as error:
            raise ArchiveError(
                f"The archive in {self.path.parent} cannot be written: {error.strerror}. "
                "What was not archived was not deleted."
            ) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
