# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a process of its own: purges into an archive, and dies where it is told to."""

# Only under Ansible's name for the collection is the engine found, and mypy does not look there for the tests.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine import archive as archiving
from ansible_collections.fleetops.celery.plugins.module_utils._engine.archive_file import ArchiveFile
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import CleanupError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.limits import Limits
from ansible_collections.fleetops.celery.plugins.module_utils._engine.profiles import find_profile
from ansible_collections.fleetops.celery.plugins.module_utils._engine.purge import purge
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable

#: The steps of a batch, by what is called at their end.
MOMENTS = {"in the member": "write", "before the commit": "end_member", "after the commit": "count"}


def _die_at(moment: str, batch: int) -> None:
    """Let the process be killed at this moment of the batch with that number."""
    name = MOMENTS[moment]
    real = getattr(ArchiveFile, name)
    calls = 0

    def last(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == batch and name == "count":
            os.kill(os.getpid(), signal.SIGKILL)
        done = real(self, *arguments)
        if calls == batch:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(ArchiveFile, name, last)


def archive(order: dict[str, Any]) -> None:
    if order.get("moment"):
        _die_at(order["moment"], order["batch"])
    if order.get("file_size"):
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"], order["file_size"]))
    if order.get("for_two"):
        archiving._WORTH_READERS = 0  # the sessions that read come with the second batch, however small
    profile = find_profile(order["profile"])
    try:
        with Database(order["url"]) as database:
            purge(
                database,
                RecordTable(database, profile),
                profile.purge_rules,
                Limits(batch_size=order["batch_size"]),
                archive=archiving.parse_archive({"path": order["path"], "compression": "gzip"}),
            )
    except CleanupError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    archive(json.load(sys.stdin))
