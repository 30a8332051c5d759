# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy that a command line asks for: what a file says, and the options beside it."""

from __future__ import annotations

import argparse
import os
from typing import Any

from ..drivers import parse_url
from ..errors import UsageError
from ..policy import Policy, parse_policy
from ..policy_file import read_document, read_private
from ..profiles import DEFAULT_PROFILE, PROFILES

VARIABLE = "CELERY_DATABASE_URL"
_PLACES = ("database_url", "compose")
#: As drivers call it in a URL's query.
_PASSWORDS = {"password", "passwd"}


def read_policy(arguments: argparse.Namespace) -> Policy:
    """Return the policy.

    :raises UsageError: naming the file and the key that is wrong
    """
    document = read_document(arguments.policy) if arguments.policy else {}
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
            "tables": [{"profile": arguments.profile or _profile_of(arguments.table), "table": arguments.table}],
        }
    return parse_policy(document)


def _profile_of(table: str) -> str:
    """Return the profile whose own table that is, in whatever schema; else the usual one."""
    name = table.rpartition(".")[2]
    return next((profile.name for profile in PROFILES.values() if profile.table == name), DEFAULT_PROFILE)


def _place(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.database_url:
        return {"database_url": _without_password(arguments.database_url)}
    if arguments.database_url_file:
        return {"database_url": read_private(arguments.database_url_file).strip()}
    compose = {
        key: value
        for key, value in (("project_dir", arguments.project_dir), ("project_name", arguments.project_name))
        if value
    }
    return {"compose": compose} if compose else {}


def _without_password(url: str) -> str:
    parsed = parse_url(url)[1]
    if parsed.password or _PASSWORDS & set(parsed.query):
        raise UsageError(
            "--database-url must not hold a password, as others on this host would see it in ps. Put the URL into the "
            f"environment variable {VARIABLE}, the policy file, or a file for --database-url-file."
        )
    return url
