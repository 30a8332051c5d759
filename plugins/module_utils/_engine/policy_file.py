# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a policy from its file, and opening the database that it names."""

from __future__ import annotations

import json
import os
import stat

from .database import Database
from .errors import UsageError
from .policy import Policy, parse_policy


def read_policy(path: str) -> Policy:
    """Return the policy in the JSON file *path*.

    :raises UsageError: where others may read the file, for it holds a password, or where it is wrong
    """
    try:
        with open(path, encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise UsageError(f"policy: {path} can be read by others (mode {mode:04o}). Make it 0600.")
            document = json.load(file)
    except OSError as error:
        raise UsageError(f"policy: {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        # Of what does not parse only the place is told: the text may hold a password.
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise UsageError(f"policy: {path} is not JSON{place}.") from None
    try:
        return parse_policy(document)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def open_database(policy: Policy, *, read_only: bool = False) -> Database:
    """Return the database that *policy* names, which is opened at first use."""
    if policy.database_url is not None:
        url = policy.database_url
    else:
        # Loaded only where it is needed.
        from .compose import Project

        url = Project(policy.compose or {}).database_url()
    return Database(url, read_only=read_only, lock_timeout=policy.lock_timeout)
