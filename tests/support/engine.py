# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine in the test's own process: what a module calls, without the half second that a process takes."""

# Only under Ansible's name for the collection is the engine found, and mypy does not look there for the tests.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine import purge as purging
from ansible_collections.fleetops.celery.plugins.module_utils._engine import zombies
from ansible_collections.fleetops.celery.plugins.module_utils._engine.archive import parse_archive
from ansible_collections.fleetops.celery.plugins.module_utils._engine.beat import Beat
from ansible_collections.fleetops.celery.plugins.module_utils._engine.builtin_cleanup import set_builtin_cleanup
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database as Opened
from ansible_collections.fleetops.celery.plugins.module_utils._engine.documents import (
    zombie_document,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.durations import parse_duration
from ansible_collections.fleetops.celery.plugins.module_utils._engine.limits import Limits, parse_limits
from ansible_collections.fleetops.celery.plugins.module_utils._engine.profiles import find_profile
from ansible_collections.fleetops.celery.plugins.module_utils._engine.proof import Containers
from ansible_collections.fleetops.celery.plugins.module_utils._engine.purge_report import purge_document, purge_report
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable
from ansible_collections.fleetops.celery.plugins.module_utils._engine.report import (
    zombie_report,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.rules import parse_purge_rules, parse_zombie_rules
from ansible_collections.fleetops.celery.plugins.module_utils._engine.statistics import take_statistics
from ansible_collections.fleetops.celery.plugins.module_utils._engine.statistics_report import (
    statistics_document,
    statistics_report,
)

from .servers import Database
from .waiting import someone_waits, wait_until

Document = dict[str, Any]


def purge(
    database: Database,
    rules: Sequence[Mapping[str, Any]] | None = None,
    *,
    profile: str = "django_celery_results",
    table: str | None = None,
    columns: Mapping[str, str] | None = None,
    confirm: str | None = None,
    check: bool = False,
    by_status: bool = True,
    lock_timeout: float = 0.2,
    pause: float | None = None,
    url: str | None = None,
    referenced: str | None = None,
    archive: Mapping[str, Any] | None = None,
    exclusive_lock: float | None = None,
    auto: bool = False,
    watch: Callable[[Any], None] | None = None,
    **limits: Any,
) -> Document:
    """Run a purge; what the module `results_purge` would return. `pause` and `lock_timeout` are seconds."""
    chosen = find_profile(profile, table, columns)
    wanted: Limits = parse_limits(limits)
    if pause is not None:
        wanted = wanted._replace(pause=timedelta(seconds=pause))
    with Opened(url or database.url, read_only=check, lock_timeout=timedelta(seconds=lock_timeout)) as opened:
        result = purging.purge(
            opened,
            RecordTable(opened, chosen),
            chosen.purge_rules if rules is None else parse_purge_rules(rules),
            wanted,
            confirm=confirm,
            check=check,
            by_status=by_status,
            referenced=referenced,
            archive=parse_archive(archive) if archive else None,
            exclusive_lock=timedelta(seconds=exclusive_lock) if exclusive_lock is not None else None,
            auto=auto,
            watch=watch,
        )
    return {**purge_document(result), "report": purge_report(result), "notes": result.notes}


def purge_behind_a_reader(database: Database, table: str) -> Document:
    """Purge by a rewrite while somebody reads *table*; another reader must not wait for as long as the purge may.

    The purge may lock others out for a second, and wait for its lock for twenty.
    """
    done: list[Document] = []
    running = threading.Thread(target=lambda: done.append(purge(database, exclusive_lock=1, lock_timeout=20)))
    running.start()
    wait_until(lambda: someone_waits(database))
    began = time.monotonic()
    assert database.count(table) > 0
    assert time.monotonic() - began < 5
    running.join()
    return done[0]


def statistics(
    database: Database,
    *,
    profile: str = "django_celery_results",
    top: int = 10,
    period: str = "24h",
    zombie_rules: Sequence[Mapping[str, Any]] | None = None,
) -> Document:
    """Read a table's statistics; what the module `results_info` would return."""
    chosen = find_profile(profile)
    with Opened(database.url, read_only=True) as opened:
        read = take_statistics(
            opened,
            RecordTable(opened, chosen),
            top=top,
            period=parse_duration(period, "period"),
            zombie_rules=chosen.zombie_rules if zombie_rules is None else parse_zombie_rules(zombie_rules),
        )
    return {"stats": statistics_document(read), "report": statistics_report(read)}


def fail_zombies(
    database: Database,
    rules: Sequence[Mapping[str, Any]],
    containers: Containers,
    *,
    profile: str = "django_celery_results",
    columns: Mapping[str, str] | None = None,
    check: bool = False,
) -> Document:
    """End zombies with proof by *containers*; what the module `zombie_fail` would return."""
    with Opened(database.url, read_only=check) as opened:
        record = RecordTable(opened, find_profile(profile, None, columns))
        chosen = parse_zombie_rules(rules)
        results = [zombies.fail_zombies(opened, record, chosen, check=check, containers=containers)]
    return {**zombie_document(results), "report": zombie_report(results)}


def backend_cleanup(database: Database, state: str, *, expires: bool | None, scheduled: bool) -> str:
    """Bring the built-in task into *state*; the verdict on what beat will make of it.

    Whether the application's own schedule has it, the module `backend_cleanup` only learns in its container.
    """
    with Opened(database.url, read_only=False) as opened:
        beat = Beat(opened)
        done = set_builtin_cleanup(beat, state, expires, scheduled=scheduled, timezone="UTC", check=False)
    verdict: str = done.recreation.verdict
    return verdict


def by_rule(document: Document) -> dict[str, tuple[int, int]]:
    """How many rows each rule matched and deleted."""
    return {rule["name"]: (rule["matched"], rule["deleted"]) for rule in document["rules"]}
