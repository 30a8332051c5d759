# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking a deployment over, whatever state it is in."""

from __future__ import annotations

from dataclasses import dataclass

from .database import Database
from .errors import CleanupError
from .profiles import PROFILES
from .records import find_profiles


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, and what to do about it. ``severity``: ``error`` or ``warning``."""

    severity: str
    code: str
    message: str
    fix: str


@dataclass(frozen=True)
class Survey:
    """What was found in a deployment's database; ``version`` is the server's."""

    kind: str | None
    name: str | None
    version: str | None
    profiles: list[str]
    findings: list[Finding]


def survey(database: Database) -> Survey:
    """Find the record tables in *database*. What is wrong becomes a finding, never an exception."""
    try:
        profiles = find_profiles(database)
        version = ".".join(str(part) for part in database.server_version() if isinstance(part, int))
    except CleanupError as error:
        return Survey(database.kind, database.name, None, [], [unreachable(error)])
    findings = []
    if not profiles:
        tables = ", ".join(profile.table for profile in PROFILES.values())
        findings.append(
            Finding(
                "warning",
                "no_record_table",
                f"{database.name} has none of the tables {tables}.",
                "Check that this is the application's database, or name its table in cleanup_tables.",
            )
        )
    return Survey(database.kind, database.name, version, profiles, findings)


def unreachable(error: CleanupError) -> Finding:
    """Return the finding that the database cannot be used."""
    return Finding(
        "error",
        "database_unreachable",
        str(error),
        "Mend what the message says, then run the same again.",
    )
