# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Selecting rows by task name, with the same meaning on every database.

Names are compared with regard to case, and what a name contains is text: ``%``, ``_``, ``[`` and
quotes mean themselves. In a glob, ``*`` stands for any text and ``?`` for one character.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .database import Database
from .libraries import sa
from .rules import PurgeRule

_ESCAPE = "!"


def task_condition(database: Database, column: Any, rule: PurgeRule) -> Any:
    """Return the SQL condition that *column* is one of the rule's tasks."""
    compare = _comparison(database, column)
    if rule.match == "exact":
        return sa.or_(*(compare(_literal(task)) for task in rule.tasks))
    if rule.match == "contains":
        return sa.or_(*(compare(f"%{_literal(task)}%") for task in rule.tasks))
    return sa.or_(*(compare(_glob(task)) for task in rule.tasks))


def _comparison(database: Database, column: Any) -> Callable[[str], Any]:
    if database.kind == "sqlite":
        # SQLite's LIKE ignores case, its GLOB does not.
        return lambda pattern: column.op("GLOB")(_as_sqlite_glob(pattern))
    text = exact_name(database, column)
    return lambda pattern: text.like(pattern, escape=_ESCAPE)


def exact_name(database: Database, column: Any) -> Any:
    """Return *column*'s name as text that is equal only to itself."""
    if database.kind == "mysql":
        from sqlalchemy.dialects.mysql import CHAR

        # The usual collations ignore case; bytes do not, but to them ? would be a part of a character.
        return sa.collate(sa.cast(column, CHAR(charset="utf8mb4")), "utf8mb4_bin")
    return sa.cast(column, sa.Text())


def _literal(text: str) -> str:
    for special in (_ESCAPE, "%", "_"):
        text = text.replace(special, _ESCAPE + special)
    return text


def _glob(text: str) -> str:
    return _literal(text).replace("*", "%").replace("?", "_")


def _as_sqlite_glob(pattern: str) -> str:
    """Translate a LIKE pattern with our escape character into SQLite's GLOB."""
    result, escaped = [], False
    for character in pattern:
        if not escaped and character == _ESCAPE:
            escaped = True
            continue
        if not escaped and character in "%_":
            result.append("*" if character == "%" else "?")
        elif character in "*?[":
            result.append(f"[{character}]")
        else:
            result.append(character)
        escaped = False
    return "".join(result)
