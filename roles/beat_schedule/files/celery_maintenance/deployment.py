# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record tables that a task works on: which the policy names, and their database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .engine.database import Database
from .engine.errors import UsageError
from .engine.policy import Policy, TablePolicy, parse_policy
from .engine.policy_file import open_database, read_document

POLICY_VARIABLE = "CELERY_MAINTENANCE_POLICY"


@dataclass(frozen=True)
class Deployment:
    """The policy, read anew for each task, and its database."""

    policy: Policy
    database: Database

    def table(self, *profiles: str) -> TablePolicy:
        """Return the first table of one of *profiles*.

        :raises UsageError: where the policy names none, or without names there is none
        """
        for table in self.policy.tables_in(self.database):
            if table.profile.name in profiles:
                return table
        raise UsageError(
            f"{self.database.name} has no table of the profile {' or '.join(profiles)}, or the policy leaves it out."
        )


@contextmanager
def deployment(*, read_only: bool = False) -> Iterator[Deployment]:
    """Open the deployment whose policy file the environment names."""
    path = os.environ.get(POLICY_VARIABLE)
    if not path:
        raise UsageError(f"The environment does not say where the policy is: set {POLICY_VARIABLE} to its path.")
    policy = parse_policy(read_document(path))
    with open_database(policy, read_only=read_only) as database:
        yield Deployment(policy, database)
