# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules: which rows, and from what age.

A purge rule deletes rows, a zombie rule ends them. Both come from plain dictionaries, the same in a
playbook and in a policy file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Union

from .durations import format_duration, parse_duration
from .errors import UsageError

#: Nothing happens to a row in one of these any more. A rule that names no statuses means these.
TERMINAL_STATUSES = ("SUCCESS", "FAILURE", "REVOKED")
#: In ``statuses``: every status there is.
ANY_STATUS = "*"
MATCHES = ("contains", "exact", "glob")
SINCE = ("started", "created")
#: What a purge does where foreign keys point at rows that are to go: fail before the first batch; leave such rows; or
#: delete the rows of the profile's own children first.
FAIL, SKIP, FOLLOW = REFERENCED = ("fail", "skip", "follow")

_PURGE_KEYS = ("name", "statuses", "older_than", "tasks", "match", "keep_last", "all")
_ZOMBIE_KEYS = ("name", "statuses", "since", "older_than", "set_status", "reason")


class PurgeRule(NamedTuple):
    """Which rows are deleted. ``statuses`` are upper case; ``None`` means the terminal ones."""

    name: str
    statuses: tuple[str, ...] | None = None
    older_than: timedelta | None = None
    tasks: tuple[str, ...] = ()
    match: str = "contains"
    keep_last: int | None = None
    all: bool = False

    @property
    def any_status(self) -> bool:
        return self.all or (self.statuses is not None and ANY_STATUS in self.statuses)

    @property
    def effective_statuses(self) -> tuple[str, ...]:
        return self.statuses if self.statuses is not None else TERMINAL_STATUSES

    def describe(self) -> str:
        """Say the rule in words: ``SUCCESS, FAILURE older than 7d``."""
        if self.all:
            return "every row"
        words = ["any status" if self.any_status else ", ".join(self.effective_statuses)]
        if self.tasks:
            verb = {"contains": "containing", "exact": "named", "glob": "matching"}[self.match]
            words.append(f"of tasks {verb} {', '.join(self.tasks)}")
        words.append(f"older than {format_duration(self.older_than)}" if self.older_than else "at any age")
        if self.keep_last:
            words.append(f"beyond the newest {self.keep_last} of each task")
        return " ".join(words)


class ZombieRule(NamedTuple):
    """Which rows are ended, and how. ``set_status`` is ``None`` for the profile's own choice."""

    name: str
    statuses: tuple[str, ...]
    older_than: timedelta
    since: str = "started"
    set_status: str | None = None
    reason: str | None = None

    def describe(self) -> str:
        """Say the rule in words: ``RUNNING for more than 24h``."""
        return f"{', '.join(self.statuses)} for more than {format_duration(self.older_than)}"


Rule = Union[PurgeRule, ZombieRule]


def parse_purge_rules(documents: object) -> tuple[PurgeRule, ...]:
    """Read purge rules.

    :param documents: a list of dictionaries, as in a playbook or policy file
    :raises UsageError: naming the rule and the key that is wrong
    """
    rules = []
    for where, document in _each(documents, _PURGE_KEYS):
        statuses = _statuses(document, where)
        tasks = _strings(document, "tasks", where)
        older_than = _age(document, where)
        keep_last = document.get("keep_last")
        everything = document.get("all")
        match = document.get("match") or "contains"
        if match not in MATCHES:
            raise UsageError(f"{where}: match {match!r} is unknown; use {', '.join(MATCHES)}.")
        if keep_last is not None and (isinstance(keep_last, bool) or not isinstance(keep_last, int) or keep_last < 1):
            raise UsageError(f"{where}: keep_last must be a whole number from 1.")
        if everything not in (None, True, False):
            raise UsageError(f"{where}: all must be true or false.")
        narrowed = statuses is not None or tasks or older_than or keep_last
        if everything and narrowed:
            raise UsageError(f"{where}: all deletes every row, so it goes with no other condition.")
        if not everything and not narrowed:
            raise UsageError(
                f"{where}: says nothing about which rows. "
                "Give statuses, older_than, tasks or keep_last; or all, with confirm."
            )
        if document.get("match") and not tasks:
            raise UsageError(f"{where}: match needs tasks.")
        rule = PurgeRule("", statuses, older_than, tasks, match, keep_last, bool(everything))
        rules.append(_named(rule, document))
    return tuple(_unique(rules))


def parse_zombie_rules(documents: object) -> tuple[ZombieRule, ...]:
    """Read zombie rules; *documents* and errors as in :func:`parse_purge_rules`."""
    rules = []
    for where, document in _each(documents, _ZOMBIE_KEYS):
        statuses = _statuses(document, where)
        older_than = _age(document, where)
        since = document.get("since") or "started"
        if statuses is None or ANY_STATUS in statuses:
            raise UsageError(f"{where}: statuses must name the statuses of unfinished rows.")
        if older_than is None:
            raise UsageError(f"{where}: older_than is missing; a row that just began is no zombie.")
        if since not in SINCE:
            raise UsageError(f"{where}: since {since!r} is unknown; use {' or '.join(SINCE)}.")
        set_status = _text(document, "set_status", where)
        if set_status is not None and set_status.upper() in statuses:
            raise UsageError(f"{where}: set_status {set_status!r} is one of the rule's statuses.")
        rule = ZombieRule("", statuses, older_than, since, set_status, _text(document, "reason", where))
        rules.append(_named(rule, document))
    return tuple(_unique(rules))


def rule_document(rule: Rule) -> dict[str, Any]:
    """Return *rule* as the dictionary it would be read from."""
    document: dict[str, Any] = {"name": rule.name}
    if rule.statuses is not None:
        document["statuses"] = list(rule.statuses)
    if rule.older_than is not None:
        document["older_than"] = format_duration(rule.older_than)
    if isinstance(rule, ZombieRule):
        others: dict[str, Any] = {"since": rule.since, "set_status": rule.set_status, "reason": rule.reason}
    else:
        match = rule.match if rule.tasks else None
        others = {"tasks": list(rule.tasks), "match": match, "keep_last": rule.keep_last, "all": rule.all}
    return {**document, **{key: value for key, value in others.items() if value}}


def _each(documents: object, keys: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(documents, Sequence) or isinstance(documents, str):
        raise UsageError("rules must be a list of dictionaries.")
    if not documents:
        raise UsageError("rules is an empty list. Leave it out to use the profile's own rules.")
    found: list[tuple[str, Mapping[str, Any]]] = []
    for number, document in enumerate(documents, 1):
        if not isinstance(document, Mapping):
            raise UsageError(f"rule {number} must be a dictionary, not {document!r}.")
        where = f"rule {document.get('name') or number}"
        unknown = sorted(str(key) for key in document if key not in keys)
        if unknown:
            raise UsageError(f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(keys)}.")
        found.append((where, document))
    return found


def _strings(document: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    given = document.get(key)
    if given is None:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise UsageError(f"{where}: {key} must be a list with at least one element.")
    if not all(isinstance(element, str) and element for element in given):
        raise UsageError(f"{where}: each element of {key} must be text that is not empty.")
    return tuple(given)


def _statuses(document: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    return tuple(text.upper() for text in _strings(document, "statuses", where)) or None


def _age(document: Mapping[str, Any], where: str) -> timedelta | None:
    given = document.get("older_than")
    return None if given is None else parse_duration(given, f"{where}: older_than")


def _text(document: Mapping[str, Any], key: str, where: str) -> str | None:
    given = document.get(key)
    if given is not None and (not isinstance(given, str) or not given):
        raise UsageError(f"{where}: {key} must be text that is not empty.")
    return given


def _named(rule: Any, document: Mapping[str, Any]) -> Any:
    return rule._replace(name=str(document.get("name") or rule.describe()))


def _unique(rules: Sequence[Any]) -> list[Any]:
    seen: set[str] = set()
    for rule in rules:
        if rule.name in seen:
            raise UsageError(f"Two rules are called {rule.name!r}. Give each its own name.")
        seen.add(rule.name)
    return list(rules)
