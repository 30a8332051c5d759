# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection knows about each kind of record table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from .errors import UsageError
from .rules import PurgeRule, ZombieRule, parse_purge_rules, parse_zombie_rules


class Children(NamedTuple):
    """A table whose rows belong to a record and are deleted before it."""

    table: str
    column: str  #: the child's column that holds the record's primary key


@dataclass(frozen=True)
class Profile:
    """A kind of record table.

    ``columns`` maps the engine's words to the table's columns: ``task_id``, ``task_name``,
    ``status``, ``created``, ``started``, ``finished`` and what a kind has beside them.
    """

    name: str
    table: str
    columns: Mapping[str, str]
    required: tuple[str, ...]
    purge_rules: tuple[PurgeRule, ...] = ()
    zombie_rules: tuple[ZombieRule, ...] = ()
    #: the column that says when an unfinished row was last written, if the table keeps that
    touched: str | None = None
    #: how the result of a failed task is stored: ``django``, ``celery`` or not at all
    result_format: str | None = None
    #: what the values of a boolean status column are called
    flags: Mapping[str, bool] = field(default_factory=dict)
    #: what a zombie rule writes that names no ``set_status``
    ended: str = "FAILURE"
    #: in which zone a date without a zone is written, where that is known: ``utc`` or ``local``
    zones: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Children, ...] = ()
    #: tables whose rows go when the records of their age have gone
    followers: tuple[Profile, ...] = ()
    #: tables with zombie rules of their own
    dependents: tuple[Profile, ...] = ()
    #: the table of unfinished chords, whose members are protected
    chords: str | None = None

    @property
    def purged(self) -> tuple[str, ...]:
        """The tables that a purge deletes from, as far as they are there."""
        beside = [*(one.table for one in self.children), *(one.table for one in self.followers)]
        return (self.table, *beside, *([self.chords] if self.chords else []))


def _profile(purge: object = None, zombies: object = None, **known: Any) -> Profile:
    return Profile(
        purge_rules=parse_purge_rules(purge) if purge else (),
        zombie_rules=parse_zombie_rules(zombies) if zombies else (),
        **known,
    )


_FINISHED_OR_REVOKED = [
    {"name": "old", "older_than": "7d"},
    {"name": "revoked", "statuses": ["REVOKED"]},
]

_PROFILES = (
    _profile(
        name="django_celery_results",
        table="django_celery_results_taskresult",
        columns={
            "task_id": "task_id",
            "task_name": "task_name",
            "status": "status",
            "created": "date_created",
            "started": "date_started",
            "finished": "date_done",
            "result": "result",
            "content_type": "content_type",
            "content_encoding": "content_encoding",
            "traceback": "traceback",
        },
        required=("task_id", "status", "finished"),
        # date_done is auto_now: every write moves it, so it tells when a STARTED row last lived.
        touched="finished",
        result_format="django",
        purge=_FINISHED_OR_REVOKED,
        zombies=[{"name": "started", "statuses": ["STARTED"], "older_than": "24h"}],
        followers=(
            Profile(
                name="django_celery_results groups",
                table="django_celery_results_groupresult",
                columns={"task_id": "group_id", "created": "date_created", "finished": "date_done"},
                required=("task_id", "finished"),
            ),
        ),
        chords="django_celery_results_chordcounter",
    ),
    _profile(
        name="celery_database",
        table="celery_taskmeta",
        columns={
            "task_id": "task_id",
            "task_name": "name",
            "status": "status",
            "finished": "date_done",
            "result": "result",
            "traceback": "traceback",
        },
        required=("task_id", "status", "finished"),
        result_format="celery",
        # Celery hands the driver an aware UTC time. PostgreSQL turns it into the session's zone
        # when it stores it in a column without one; the other drivers drop the zone.
        zones={"postgresql": "local", "mysql": "utc", "sqlite": "utc"},
        purge=_FINISHED_OR_REVOKED,
        followers=(
            Profile(
                name="celery_database groups",
                table="celery_tasksetmeta",
                columns={"task_id": "taskset_id", "finished": "date_done"},
                required=("task_id", "finished"),
                zones={"postgresql": "local", "mysql": "utc", "sqlite": "utc"},
            ),
        ),
    ),
    _profile(
        name="processing_tasks",
        table="processing_tasks",
        columns={
            "task_name": "task_type",
            "status": "status",
            "created": "created_at",
            "started": "started_at",
            "finished": "completed_at",
            "reason": "error_message",
        },
        required=("status", "created"),
        purge=[
            {"name": "failure", "statuses": ["FAILURE"], "older_than": "7d"},
            {"name": "success", "statuses": ["SUCCESS"], "older_than": "30d"},
        ],
        zombies=[
            {"name": "running", "statuses": ["RUNNING"], "older_than": "24h"},
            {"name": "pending", "statuses": ["PENDING"], "since": "created", "older_than": "2h"},
        ],
    ),
    _profile(
        name="task_logs",
        table="task_logs",
        columns={
            "task_id": "task_id",
            "task_name": "task_name",
            "status": "status",
            "created": "created_at",
            "started": "started_at",
            "finished": "completed_at",
            "reason": "error_message",
        },
        required=("status", "created"),
        purge=[{"name": "old", "statuses": ["*"], "older_than": "30d"}],
        zombies=[{"name": "started", "statuses": ["STARTED"], "older_than": "24h"}],
        children=(
            Children("task_metadata", "task_id"),
            Children("task_execution_history", "task_id"),
            Children("task_results", "task_id"),
        ),
        followers=(
            Profile(
                name="task_logs queue statistics",
                table="queue_stats",
                columns={"finished": "recorded_at"},
                required=("finished",),
            ),
        ),
        dependents=(
            _profile(
                name="task_logs workers",
                table="worker_status",
                columns={
                    "task_id": "worker_name",
                    "status": "status",
                    "started": "last_heartbeat",
                },
                required=("status", "started"),
                ended="OFFLINE",
                zombies=[{"name": "silent workers", "statuses": ["ONLINE"], "older_than": "15m"}],
            ),
        ),
    ),
    _profile(
        name="reading_sessions",
        table="reading_sessions",
        columns={
            "status": "is_active",
            "created": "started_at",
            "started": "started_at",
            "finished": "ended_at",
            "start_position": "start_position",
            "end_position": "end_position",
            "duration_minutes": "duration_minutes",
        },
        required=("status", "started", "finished"),
        flags={"ACTIVE": True, "CLOSED": False},
        ended="CLOSED",
        zombies=[{"name": "abandoned", "statuses": ["ACTIVE"], "older_than": "2h"}],
    ),
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in _PROFILES}
DEFAULT_PROFILE = "django_celery_results"
_DATES = ("created", "started", "finished")


def find_profile(name: str, table: str | None = None, columns: Mapping[str, str] | None = None) -> Profile:
    """Return the profile called *name*, with *table* and *columns* in place of its own.

    :raises UsageError: for an unknown profile or an unknown word in *columns*
    """
    profile = PROFILES.get(name)
    if profile is None:
        raise UsageError(f"profile {name!r} is unknown; known are {', '.join(PROFILES)}.")
    if columns:
        # Any table may have dates that its profile does not expect.
        known = list(dict.fromkeys((*profile.columns, *_DATES)))
        unknown = sorted(set(columns) - set(known))
        if unknown:
            raise UsageError(
                f"columns: {', '.join(unknown)} is unknown to profile {name}; known are {', '.join(known)}."
            )
        empty = sorted(word for word, column in columns.items() if not column or not isinstance(column, str))
        if empty:
            raise UsageError(f"columns: {', '.join(empty)} has no column's name.")
        # A column that the user names must be there, even where the profile could do without.
        profile = replace(
            profile,
            columns={**profile.columns, **columns},
            required=tuple(dict.fromkeys((*profile.required, *columns))),
        )
    if table:
        profile = _moved(profile, table)
    return profile


def _moved(profile: Profile, table: str) -> Profile:
    """Point *profile* at *table*; its other tables are looked for in the same schema.

    A table under another name is the user's own, so tables that belong to the package's
    original one (groups, chords, children) are left out.
    """
    schema, dot, bare = table.rpartition(".")
    if not bare or (dot and not schema):
        raise UsageError(f"table {table!r} is not a table's name; write table or schema.table.")
    if bare != profile.table:
        return replace(profile, table=table, children=(), followers=(), dependents=(), chords=None)

    def here(name: str) -> str:
        return f"{schema}{dot}{name}"

    return replace(
        profile,
        table=table,
        children=tuple(child._replace(table=here(child.table)) for child in profile.children),
        followers=tuple(replace(one, table=here(one.table)) for one in profile.followers),
        dependents=tuple(replace(one, table=here(one.table)) for one in profile.dependents),
        chords=here(profile.chords) if profile.chords else None,
    )
