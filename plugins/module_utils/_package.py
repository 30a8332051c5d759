# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The maintenance package: a zip file that is the command celery-cleanup, and that Python imports from.

It is **private** to the collection: it can change at any time.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping

#: What tells a package of ours from any other file, and which version of the collection it was made from.
VERSION_FILE = "celery_maintenance/engine/VERSION"

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can name
_UNIX = 3

Files = dict[str, bytes]


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a zip file of *files* that is the same, to the byte, wherever and whenever it is made.

    So it is not compressed either: what comes out of that depends on the version of zlib.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = _UNIX, 0o644 << 16
            archive.writestr(entry, files[name])
    return target.getvalue()


def unpack(content: bytes) -> Files:
    """Return the files in *content*."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def executable(content: bytes, interpreter: str) -> bytes:
    """Return the zip file *content* as a program that *interpreter* runs.

    Neither variables of its user's environment nor packages of their own change what it does.
    """
    return f"#!{interpreter} -Es\n".encode() + content


def version_of(content: bytes) -> str | None:
    """Return the version of the package *content*; ``None`` where it is something else."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read(VERSION_FILE).decode("ascii", "replace").strip()
    except (zipfile.BadZipFile, KeyError):
        return None


def python_files(folder: str, prefix: str) -> Files:
    """Return the Python files under *folder*, by their names with *prefix* instead of it."""
    found: Files = {}
    for place, _folders, names in os.walk(folder):
        inside = os.path.relpath(place, folder)
        for name in names:
            if name.endswith(".py"):
                with open(os.path.join(place, name), "rb") as file:
                    found[os.path.normpath(os.path.join(prefix, inside, name))] = file.read()
    return found
