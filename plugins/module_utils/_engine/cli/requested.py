# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables that a command line means, and the rules that it wants for them instead of their own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..database import Database
from ..durations import parse_duration
from ..errors import UsageError
from ..policy import NO_VACUUM, Policy, TablePolicy, Vacuum
from ..rules import PurgeRule, ZombieRule, parse_purge_rules

#: Options that say which rows of one table are meant.
_OF_ONE_TABLE = (
    "days", "high_frequency", "task_name", "force_status", "all",
    "failure_retention", "success_retention", "running_timeout", "pending_timeout",
)  # fmt: skip


def requested(policy: Policy, database: Database, arguments: argparse.Namespace) -> tuple[Policy, list[TablePolicy]]:
    """Return *policy* and its tables as the command line wants them.

    :raises UsageError: where it does not say which table it means, or which rows
    """
    tables = [
        table
        for table in policy.tables_in(database)
        if arguments.profile in (None, table.profile.name) and arguments.table in (None, table.profile.table)
    ]
    names = ", ".join(table.profile.table for table in tables)
    if (arguments.profile or arguments.table) and not tables:
        raise UsageError(f"The policy has no table {arguments.table or f'of the profile {arguments.profile}'}.")
    given = [f"--{name.replace('_', '-')}" for name in _OF_ONE_TABLE if _value(arguments, name) not in (None, False)]
    if given and len(tables) > 1:
        raise UsageError(f"{', '.join(given)}: say which table with --profile or --table; there are {names}.")
    rules = _selection(arguments, policy)
    if rules:
        # Only these, not those of the high-frequency tasks beside them.
        policy = replace(policy, high_frequency_tasks=())
    return policy, [_changed(table, arguments, rules) for table in tables]


def _changed(table: TablePolicy, arguments: argparse.Namespace, rules: tuple[PurgeRule, ...]) -> TablePolicy:
    for status in ("failure", "success"):
        days = _value(arguments, f"{status}_retention")
        if days is not None:
            table = replace(table, purge_rules=_kept_for(table, status, f"{days}d"))
    for since, option in (("started", "running_timeout"), ("created", "pending_timeout")):
        hours = _value(arguments, option)
        if hours is not None:
            table = replace(table, zombie_rules=_dead_after(table, since, option, f"{hours}h"))
    if rules:
        table = replace(table, purge_rules=rules)
    if arguments.command == "purge" and arguments.all:
        table = replace(table, confirm=arguments.confirm)
    if arguments.command == "vacuum":
        table = replace(table, vacuum=_vacuum(table.vacuum, arguments))
    return table


def _selection(arguments: argparse.Namespace, policy: Policy) -> tuple[PurgeRule, ...]:
    """Return the rules that the options spell; none where there is no such option."""
    if arguments.command != "purge":
        return ()
    if bool(arguments.force_status) != bool(arguments.older_than):
        raise UsageError("--force-status and --older-than go together: a status, and from how many days on.")
    documents: list[dict[str, Any]] = []
    if arguments.high_frequency is not None:
        tasks = arguments.high_frequency or policy.high_frequency_tasks
        if not tasks:
            raise UsageError("--high-frequency: name the tasks, here or in the policy's high_frequency_tasks.")
        documents += [{"name": task, "tasks": [task]} for task in tasks]
    if arguments.days:
        documents.append({"older_than": f"{arguments.days}d"})
    documents += [{"name": f"task {task}", "tasks": [task]} for task in arguments.task_name or ()]
    if arguments.force_status:
        documents.append({"statuses": [arguments.force_status], "older_than": f"{arguments.older_than}d"})
    if arguments.all:
        documents.append({"all": True})
    return parse_purge_rules(documents) if documents else ()


def _kept_for(table: TablePolicy, status: str, age: str) -> tuple[PurgeRule, ...]:
    option, statuses = f"--{status}-retention", (status.upper(),)
    rules: Sequence[PurgeRule] = table.effective_purge_rules
    if not any(rule.statuses == statuses and rule.older_than for rule in rules):
        raise UsageError(
            f"{option}: {table.profile.table} has no rule for {status.upper()} alone. Write the rules into a policy."
        )
    older_than = parse_duration(age, option)
    return tuple(
        rule._replace(older_than=older_than) if rule.statuses == statuses and rule.older_than else rule
        for rule in rules
    )


def _dead_after(table: TablePolicy, since: str, name: str, age: str) -> tuple[ZombieRule, ...]:
    option = f"--{name.replace('_', '-')}"
    rules = table.effective_zombie_rules
    if not any(rule.since == since for rule in rules):
        raise UsageError(f"{option}: {table.profile.table} has no rule for tasks by the time since they were {since}.")
    older_than = parse_duration(age, option)
    return tuple(rule._replace(older_than=older_than) if rule.since == since else rule for rule in rules)


def _vacuum(vacuum: Vacuum, arguments: argparse.Namespace) -> Vacuum:
    # Who names a table or its profile wants it, even where the policy leaves it out. cron names neither.
    wanted = vacuum.mode == NO_VACUUM and (arguments.table or arguments.profile)
    mode = arguments.mode or (Vacuum.mode if wanted else vacuum.mode)
    return replace(vacuum, mode=mode, confirm=arguments.confirm or vacuum.confirm)


def _value(arguments: argparse.Namespace, name: str) -> Any:
    """Return an option that not every command has."""
    return getattr(arguments, name, None)
