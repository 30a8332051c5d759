# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking a deployment over, whatever state it is in.

What is wrong becomes a finding, never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from .application import Configuration, celery_processes, read_other_tasks
from .beat import Beat
from .builtin_cleanup import NAME
from .compose import Project
from .compose_files import chosen_options
from .database import Database
from .errors import CleanupError, UsageError
from .examine_beat import examine_own_schedule, examine_schedule
from .examine_project import (
    Service,
    examine_configuration,
    examine_processes,
    list_services,
    read_application,
)
from .examine_tables import examine_table
from .findings import Finding, error, warning
from .maintenance_schedule import is_maintenance
from .maintenance_services import sidecar_tasks
from .policy import TablePolicy
from .profiles import PROFILES, find_profile
from .records import find_profiles, known_table


@dataclass
class Survey:
    """What was found. ``project`` is its name; ``kind``, ``name`` and ``version`` are the database's.

    ``compose_options`` tell Compose the project's files, where it does not find them by itself.
    ``scale``: how many containers each service has.
    ``other_tasks`` asks workers that are not of the image that told ``configuration`` for theirs.
    ``maintenance``: the tasks of the role beat_schedule that its sidecar or enabled periodic tasks run.
    """

    project: str | None = None
    compose_options: list[str] = field(default_factory=list)
    scale: dict[str, int] = field(default_factory=dict)
    services: list[Service] = field(default_factory=list)
    kind: str | None = None
    name: str | None = None
    version: str | None = None
    tables: list[TablePolicy] = field(default_factory=list)
    configuration: Configuration | None = None
    other_tasks: Callable[[], Iterable[str]] = tuple
    periodic_tasks: int | None = None
    builtin_enabled: bool | None = None
    maintenance: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


def survey_project(project: Project, worker_service: str | None = None, beat_service: str | None = None) -> Survey:
    """Look *project* over, but for its database.

    :param worker_service: the service that is the worker, where its command does not tell
    :param beat_service: the same for beat
    """
    found = Survey(project=project.name, scale=project.scale)
    processes = celery_processes(project.containers, worker_service, beat_service)
    # Of the application, if it is there: what was started once beside it may have other files.
    found.compose_options = chosen_options([one.container for one in processes] or project.containers)
    found.services = list_services(project.containers, processes)
    found.maintenance = sidecar_tasks(project.containers)
    found.findings += examine_processes(processes)
    found.configuration, problems = read_application(project.docker, processes)
    found.findings += problems
    if found.configuration is not None:
        found.other_tasks = partial(read_other_tasks, project.docker, processes)
        found.findings += examine_configuration(processes, found.configuration)
    return found


def survey_database(
    found: Survey, database: Database, named: Sequence[TablePolicy] = (), *, builtin_wanted: bool = False
) -> None:
    """Add to *found* what is in *database*.

    :param named: the record tables; where there are none, those of the profiles whose table exists
    :param builtin_wanted: whether ``celery.backend_cleanup`` is to run
    """
    found.kind, found.name = database.kind, database.name
    try:
        tables = named or [TablePolicy(find_profile(name)) for name in find_profiles(database)]
        found.version = ".".join(str(part) for part in database.server_version() if isinstance(part, int))
        for table in tables:
            if known_table(database, table.profile.table) is None:
                found.findings.append(_missing(database, table))
                continue
            found.tables.append(table)
            found.findings += examine_table(database, table)
        _add_schedule(found, database, builtin_wanted)
    except CleanupError as problem:
        found.findings.append(unreachable(problem))
        return
    if not tables:
        names = ", ".join(profile.table for profile in PROFILES.values())
        found.findings.append(
            warning(
                "no_record_table",
                f"{database.name} has none of the tables {names}.",
                "Check that this is the application's database, or name its table in cleanup_tables.",
            )
        )


def _missing(database: Database, table: TablePolicy) -> Finding:
    return error(
        "table_missing",
        f"{database.name} has no table {table.profile.table}.",
        "Check that this is the application's database, and the table's name in cleanup_tables.",
    )


def not_found(problem: CleanupError) -> Finding:
    """Return the finding that there is no such project."""
    return error("project_not_found", str(problem), "Start the project, or mend what the message says.")


def unreachable(problem: CleanupError) -> Finding:
    """Return the finding that the database cannot be used."""
    return error("database_unreachable", str(problem), "Mend what the message says, then run the same again.")


def _add_schedule(found: Survey, database: Database, builtin_wanted: bool) -> None:
    known = found.configuration
    try:
        beat = Beat(database)
    except UsageError:
        # The application keeps its schedule elsewhere.
        if known is not None:
            if not known.beat_schedule and all("beat" not in one.roles for one in found.services):
                # Nothing is scheduled, so nobody misses a beat that there has never been.
                found.findings = [one for one in found.findings if one.code != "beat_not_running"]
            known = _with_other_tasks(known, found, known.beat_schedule.values())
            found.findings += examine_own_schedule(known, wanted=builtin_wanted)
        return
    tasks = {task.name: task for task in beat.tasks()}
    found.periodic_tasks = len(tasks)
    found.builtin_enabled = tasks[NAME].enabled if NAME in tasks else None
    enabled = {one.task for one in tasks.values() if one.enabled}
    found.maintenance |= {task for task in enabled if is_maintenance(task)}
    if known is not None:
        known = _with_other_tasks(known, found, enabled - found.maintenance)
    found.findings += examine_schedule(tasks, beat.now(), known, wanted=builtin_wanted)


def _with_other_tasks(known: Configuration, found: Survey, tasks: Iterable[str]) -> Configuration:
    """Return *known* with the tasks of other images, which are asked only where it lacks one of *tasks*."""
    return known if set(tasks) <= set(known.tasks) else replace(known, tasks=[*known.tasks, *found.other_tasks()])
