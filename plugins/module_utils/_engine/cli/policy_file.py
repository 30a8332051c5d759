# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy that a command line asks for: what a file says, and the options beside it."""

from __future__ import annotations

import argparse
import json
import os
import stat
from typing import Any

from ..errors import UsageError
from ..policy import Policy, parse_policy
from ..profiles import DEFAULT_PROFILE

VARIABLE = "CELERY_DATABASE_URL"
_PLACES = ("database_url", "compose")


def read_policy(arguments: argparse.Namespace) -> Policy:
    """Return the policy.

    :raises UsageError: naming the file and the key that is wrong
    """
    document = _document(arguments.policy) if arguments.policy else {}
    place = _place(arguments)
    if place:
        document = {**{key: value for key, value in document.items() if key not in _PLACES}, **place}
    elif not any(document.get(key) for key in _PLACES):
        if not os.environ.get(VARIABLE):
            raise UsageError(
                "Say where the database is: with --policy, --database-url-file, --project-dir or --project-name, "
                f"or in the environment variable {VARIABLE}."
            )
        document = {**document, "database_url": os.environ[VARIABLE]}
    if (arguments.profile or arguments.table) and not document.get("tables"):
        document = {
            **document,
            "tables": [{"profile": arguments.profile or DEFAULT_PROFILE, "table": arguments.table}],
        }
    return parse_policy(document)


def _document(path: str) -> dict[str, Any]:
    try:
        document = json.loads(read_private(path))
    except ValueError as error:
        # Its text tells the place in the file, and nothing of what is there.
        raise UsageError(f"{path} is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path} must hold a JSON object with the policy's keys.")
    return document


def _place(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.database_url:
        return {"database_url": arguments.database_url}
    if arguments.database_url_file:
        return {"database_url": read_private(arguments.database_url_file).strip()}
    compose = {
        key: value
        for key, value in (("project_dir", arguments.project_dir), ("project_name", arguments.project_name))
        if value
    }
    return {"compose": compose} if compose else {}


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
