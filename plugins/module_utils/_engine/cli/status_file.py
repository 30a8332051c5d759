# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file in which monitoring reads how the last run went."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile

from ..errors import UsageError
from .run import Run, status_document

_MODE = 0o644  # nothing in it is secret


def write_status(path: str, run: Run) -> None:
    """Write it at once, so that a reader sees the old one or the new one.

    :raises UsageError: where it cannot be written
    """
    name = None
    try:
        handle, name = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(path)), prefix=".celery-cleanup-")
        with open(handle, "w", encoding="ascii") as file:
            json.dump(status_document(run), file, indent=2)
            file.write("\n")
        os.chmod(name, _MODE)
        os.replace(name, path)
    except OSError as error:
        if name:
            with contextlib.suppress(OSError):
                os.unlink(name)
        raise UsageError(f"The status file {path} cannot be written: {error.strerror}.") from None
