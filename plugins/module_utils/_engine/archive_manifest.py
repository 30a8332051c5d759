# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest of an archive: what is in its file, and how much of that counts."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from .archive_members import SUFFIXES, read_members
from .errors import ArchiveError, UsageError

FORMAT = "fleetops.celery archive"
VERSION = 1
ENDING = ".manifest.json"
_CHUNK = 1 << 20

Values = list[Any]


@dataclass
class ArchivedTable:
    """A table whose rows are in the archive."""

    name: str
    columns: list[dict[str, str]]
    #: the columns that no update changes, by which a row is known again
    identity: list[str]
    #: columns under the engine's words, as far as the table has them
    words: dict[str, str]
    #: of a child, the column that holds its record's primary key
    parent: str | None = None
    rows: int = 0

    def places(self, names: list[str]) -> list[int]:
        """Return where the values of the columns called *names* stand in a line."""
        order = [column["name"] for column in self.columns]
        return [order.index(name) for name in names]


@dataclass
class Manifest:
    """What one run archived. Only the first ``bytes`` of the file count; ``sha256`` is theirs."""

    file: str
    compression: str
    kind: str
    database: str  #: in words, without credentials
    profile: str
    table: str
    rules: list[dict[str, Any]]
    started: str
    finished: str | None = None
    complete: bool = False
    rows: int = 0
    bytes: int = 0
    sha256: str = hashlib.sha256().hexdigest()
    flags: dict[str, bool] = field(default_factory=dict)
    tables: list[ArchivedTable] = field(default_factory=list)

    def find(self, name: str) -> ArchivedTable | None:
        return next((table for table in self.tables if table.name == name), None)


def new_name(table: str, moment: str) -> str:
    """Return a name for the files of one run that no other run has."""
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in table)
    return f"{plain}-{moment}-{os.urandom(3).hex()}"


def data_name(name: str, compression: str) -> str:
    return f"{name}.jsonl.{SUFFIXES[compression]}"


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest at *path* in one step, so that a reader or a crash meets a whole one."""
    text = json.dumps({"format": FORMAT, "version": VERSION, **asdict(manifest)}, indent=2, ensure_ascii=False)
    beside = path.with_name(path.name + ".new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def read_manifest(path: Path) -> Manifest:
    """Read the manifest at *path*.

    :raises UsageError: when it is none, or of a version that is not known here
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{path} is no manifest of an archive: {error}.") from None
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise UsageError(f"{path} is no manifest of an archive. Name a file that ends with {ENDING}, or its folder.")
    version = document.pop("version", None)
    if version != VERSION:
        raise UsageError(f"{path} has the version {version}; this release reads {VERSION}.")
    try:
        tables = [ArchivedTable(**table) for table in document.pop("tables")]
        manifest = Manifest(**document, tables=tables)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged: {error}.") from None
    if manifest.compression not in SUFFIXES or os.path.basename(manifest.file) != manifest.file:
        raise UsageError(f"{path} is damaged: it names {manifest.file} in {manifest.compression}.")
    return manifest


def find_manifests(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{ENDING}"))


def verify(path: Path, manifest: Manifest) -> None:
    """See that the file beside the manifest at *path* is what it was.

    :raises UsageError: when it is missing, shorter, or has changed
    """
    data = path.with_name(manifest.file)
    digest = hashlib.sha256()
    left = manifest.bytes
    try:
        with open(data, "rb") as file:
            while left:
                piece = file.read(min(_CHUNK, left))
                if not piece:
                    raise UsageError(f"{data} is {left:,} bytes shorter than {path.name} says. Nothing was restored.")
                digest.update(piece)
                left -= len(piece)
    except OSError as error:
        raise UsageError(f"{data} cannot be read: {error.strerror}. Nothing was restored.") from None
    if digest.hexdigest() != manifest.sha256:
        raise UsageError(f"{data} does not match {path.name}: its SHA-256 differs. Nothing was restored.")


def read_lines(file: IO[bytes], compression: str, end: int | None = None) -> Iterator[tuple[str, Values]]:
    """Read each row from where *file* stands: its table's name, and its values."""
    for lines, _end in read_blocks(file, compression, end):
        yield from map(parse_line, lines)


def last_complete(file: IO[bytes], manifest: Manifest) -> int:
    """Return where the last complete member ends, counted or not."""
    end = manifest.bytes
    file.seek(end)
    try:
        for _text, offset in read_members(file, manifest.compression):
            end = offset or end
    except ArchiveError:
        pass  # what a crash left
    return end


def parse_line(line: bytes) -> tuple[str, Values]:
    name, *values = json.loads(line)
    return name, values


def read_blocks(file: IO[bytes], compression: str, end: int | None = None) -> Iterator[tuple[list[bytes], int | None]]:
    """Read lines, some at a time; with the last of a member comes the offset at which it ends."""
    rest = b""
    for text, offset in read_members(file, compression, end):
        *lines, rest = (rest + text).split(b"\n")
        if offset is not None and rest:
            raise ArchiveError(f"{file.name} is damaged: the part that ends at byte {offset:,} ends within a row.")
        yield lines, offset
