# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules and limits that apply to one deployment's record tables: a plain document, and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from .database import DEFAULT_LOCK_TIMEOUT, Database
from .durations import parse_duration
from .errors import UsageError
from .limits import Limits, parse_limits
from .profiles import DEFAULT_PROFILE, Profile, find_profile
from .reclaim import MODES
from .records import find_profiles
from .rules import REFERENCED, PurgeRule, ZombieRule, parse_purge_rules, parse_zombie_rules

#: Profiles of tables that hold the results of tasks whatever their name.
_RESULT_PROFILES = ("django_celery_results", "celery_database")
NO_VACUUM = "none"
#: Who is asked whether a task lives.
PROOFS = ("containers",)

_Keys = dict[str, tuple[type, ...]]
_NUMBER = (int, float)
_POLICY: _Keys = {
    "database_url": (str,),
    "compose": (dict,),
    "tables": (list,),
    "high_frequency_tasks": (list,),
    "limits": (dict,),
    "archive": (dict,),
    "indexes": (bool,),
}
_COMPOSE: _Keys = {
    "project_dir": (str,),
    "project_name": (str,),
    "containers": (list,),
    "database_service": (str,),
    "app_service": (str,),
    "docker_cli": (str,),
}
_TABLE: _Keys = {
    "profile": (str,),
    "table": (str,),
    "columns": (dict,),
    "zombie_rules": (list,),
    "proof": (str,),
    "purge_rules": (list,),
    "confirm": (str,),
    "referenced": (str,),
    "vacuum": (dict,),
}
_VACUUM: _Keys = {"mode": (str,), "min_dead_percent": _NUMBER, "confirm": (str,)}
_LIMITS: _Keys = {
    "max_rows": (int,),
    "max_percent": _NUMBER,
    "time_budget": (str,),
    "batch_size": (int,),
    "pause": (str,),
    "stop_file": (str,),
    "exclusive_lock": (str,),
    "gates": (dict,),
    "lock_timeout": (str,),
}
_GATES: _Keys = {
    "max_replica_lag": (str,),
    "vacuum": (bool,),
    "lock_waiters": (bool,),
    "condition": (str,),
    "hours": (str,),
    "patience": (str,),
}
_ARCHIVE: _Keys = {"path": (str,), "compression": (str,)}
_WORDS = {str: "text", dict: "a dictionary", list: "a list", bool: "true or false", int: "a whole number"}


@dataclass(frozen=True)
class Vacuum:
    """How the space of one table is given back; with the mode ``none`` not at all."""

    mode: str = "auto"
    min_dead_percent: float = 10.0
    confirm: str | None = None


@dataclass(frozen=True)
class TablePolicy:
    """What is done with one record table. Rules that are ``None`` are the profile's own; an empty list is no step."""

    profile: Profile
    zombie_rules: tuple[ZombieRule, ...] | None = None
    proof: str | None = None  #: one of :data:`PROOFS`
    purge_rules: tuple[PurgeRule, ...] | None = None
    confirm: str | None = None
    referenced: str | None = None
    vacuum: Vacuum = Vacuum()

    @property
    def effective_zombie_rules(self) -> tuple[ZombieRule, ...]:
        return self.profile.zombie_rules if self.zombie_rules is None else self.zombie_rules

    @property
    def effective_purge_rules(self) -> tuple[PurgeRule, ...]:
        return self.profile.purge_rules if self.purge_rules is None else self.purge_rules


@dataclass(frozen=True)
class Policy:
    """What is done with a deployment's record tables.

    ``database_url`` or ``compose`` says where they are. Without ``tables``, they are those of every profile whose
    table exists. ``archive`` is as in the document: whether the folder is there is found out when it is used.
    """

    database_url: str | None = field(default=None, repr=False)
    compose: Mapping[str, Any] | None = None
    tables: tuple[TablePolicy, ...] = ()
    high_frequency_tasks: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    exclusive_lock: timedelta | None = None
    lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT
    archive: Mapping[str, Any] | None = None
    indexes: bool = False

    def tables_in(self, database: Database) -> tuple[TablePolicy, ...]:
        """Return the tables that the policy names, or those of the profiles whose table exists."""
        return self.tables or tuple(TablePolicy(find_profile(name)) for name in find_profiles(database))

    def purge_rules(self, table: TablePolicy) -> tuple[PurgeRule, ...]:
        """Return the rules of *table*: a rule for each high-frequency task first, then its own."""
        own = table.effective_purge_rules
        if table.profile.name not in _RESULT_PROFILES or not self.high_frequency_tasks:
            return own
        return (*parse_purge_rules([{"name": task, "tasks": [task]} for task in self.high_frequency_tasks]), *own)


def parse_policy(document: object) -> Policy:
    """Read a policy; its keys are the variables of the role cleanup without their prefix.

    :raises UsageError: naming the key that is wrong
    """
    known = _checked(document, _POLICY, "policy")
    if (known.get("database_url") is None) == (known.get("compose") is None):
        raise UsageError("policy: say where the database is with database_url or with compose, and not with both.")
    compose = known.get("compose")
    tables = tuple(parse_tables(known.get("tables") or [], "policy: table"))
    for number, table in enumerate(tables, 1):
        if table.proof and compose is None:
            raise UsageError(
                f"policy: table {number}: proof {table.proof} asks Docker for the containers of the project, which "
                "needs compose in place of database_url, and a host that has Docker. In a container there is none: "
                "leave proof out there, or let cron or the playbook cleanup do it."
            )
    if compose is not None:
        _checked(compose, _COMPOSE, "policy: compose")
        if not (compose.get("project_dir") or compose.get("project_name")):
            raise UsageError("policy: compose needs project_dir or project_name.")
    limits = _checked(known.get("limits") or {}, _LIMITS, "policy: limits")
    _checked(limits.get("gates") or {}, _GATES, "policy: limits: gates")
    lock, timeout = limits.get("exclusive_lock"), limits.get("lock_timeout")
    frequent = known.get("high_frequency_tasks") or []
    if not all(isinstance(task, str) and task for task in frequent):
        raise UsageError("policy: each element of high_frequency_tasks must be text that is not empty.")
    return Policy(
        database_url=known.get("database_url"),
        compose=compose,
        tables=tables,
        high_frequency_tasks=tuple(dict.fromkeys(frequent)),
        limits=parse_limits(limits),
        exclusive_lock=parse_duration(lock, "policy: limits: exclusive_lock") if lock else None,
        lock_timeout=parse_duration(timeout, "policy: limits: lock_timeout") if timeout else DEFAULT_LOCK_TIMEOUT,
        archive=_archive(known.get("archive") or None),
        indexes=bool(known.get("indexes")),
    )


def parse_tables(documents: list[Any], subject: str) -> Iterator[TablePolicy]:
    """Read what is done with each table.

    :param subject: what an error calls one, before its number
    :raises UsageError: naming the key that is wrong
    """
    for number, document in enumerate(documents, 1):
        where = f"{subject} {number}"
        known = _checked(document, _TABLE, where)
        zombies, purges = known.get("zombie_rules"), known.get("purge_rules")
        referenced = known.get("referenced")
        if referenced is not None and referenced not in REFERENCED:
            raise UsageError(f"{where}: referenced {referenced!r} is unknown; use {', '.join(REFERENCED)}.")
        proof = known.get("proof")
        if proof is not None and proof not in PROOFS:
            raise UsageError(f"{where}: proof {proof!r} is unknown; use {', '.join(PROOFS)}.")
        try:
            profile = find_profile(known.get("profile") or DEFAULT_PROFILE, known.get("table"), known.get("columns"))
            # A list without a rule leaves the step out.
            zombie_rules = (parse_zombie_rules(zombies) if zombies else ()) if zombies is not None else None
            purge_rules = (parse_purge_rules(purges) if purges else ()) if purges is not None else None
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        if proof and profile.name not in _RESULT_PROFILES:
            raise UsageError(
                f"{where}: proof {proof} needs a table whose rows name their process, which are those of the profiles "
                f"{' and '.join(_RESULT_PROFILES)}."
            )
        vacuum = _vacuum(known.get("vacuum") or {}, where)
        yield TablePolicy(profile, zombie_rules, proof, purge_rules, known.get("confirm"), referenced, vacuum)


def _archive(document: object) -> dict[str, Any] | None:
    if document is None:
        return None
    # Loaded only where it is needed: most runs archive nothing.
    from .archive_members import check_options

    known = _checked(document, _ARCHIVE, "policy: archive")
    check_options(known, "policy: archive")
    return known


def _vacuum(document: object, where: str) -> Vacuum:
    known = _checked(document, _VACUUM, f"{where}: vacuum")
    mode = known.get("mode") or Vacuum.mode
    if mode not in (*MODES, NO_VACUUM):
        raise UsageError(f"{where}: vacuum: mode {mode!r} is unknown; use {', '.join((*MODES, NO_VACUUM))}.")
    share = known.get("min_dead_percent")
    return Vacuum(mode, Vacuum.min_dead_percent if share is None else float(share), known.get("confirm"))


def _checked(document: object, keys: _Keys, where: str) -> dict[str, Any]:
    """Return *document* without the keys that are ``None``, once its keys and their types are known to be right."""
    if not isinstance(document, dict):
        raise UsageError(f"{where} must be a dictionary, not {document!r}.")
    unknown = sorted(str(key) for key in document if key not in keys)
    if unknown:
        raise UsageError(f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(keys)}.")
    given = {key: value for key, value in document.items() if value is not None}
    for key, value in given.items():
        types = keys[key]
        # Python counts True as a number.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            wanted = "a number" if types is _NUMBER else _WORDS[types[0]]
            shown = "something else" if key == "database_url" else repr(value)
            raise UsageError(f"{where}: {key} must be {wanted}, not {shown}.")
    return given
