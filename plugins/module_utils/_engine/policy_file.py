# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading files that hold secrets, such as a policy, and opening the database that a policy names."""

from __future__ import annotations

import json
import os
import stat
from typing import Any

from .database import Database
from .errors import UsageError
from .policy import Policy


def read_document(path: str) -> dict[str, Any]:
    """Return the JSON object in the policy file *path*.

    :raises UsageError: where others may use the file, or it is no such object
    """
    try:
        document = json.loads(read_private(path))
    except ValueError as error:
        # Its text tells the place in the file, and nothing of what is there.
        raise UsageError(f"{path} is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path} must hold a JSON object with the policy's keys.")
    return document


def read_private(path: str) -> str:
    """Return the text of a file that holds secrets, once it is known that nobody else reads or writes it.

    :raises UsageError: saying what has to be done
    """
    try:
        with open(path, encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if status.st_uid not in (0, os.geteuid()):
                raise UsageError(f"{path} belongs to another user; it must be yours or root's.")
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise UsageError(f"{path} holds secrets, and others may use it: chmod 600 {path}")
            return file.read()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text in UTF-8.") from None


def open_database(policy: Policy, *, read_only: bool = False) -> Database:
    """Return the database that *policy* names, which is opened at first use."""
    url = policy.database_url
    if url is None:
        # Loaded only where it is needed.
        from .compose import Project

        url = Project(policy.compose or {}).database_url()
    return Database(url, read_only=read_only, lock_timeout=policy.lock_timeout)
