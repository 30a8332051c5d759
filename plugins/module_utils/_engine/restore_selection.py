# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rows of an archive are put back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .archive_manifest import ArchivedTable, Manifest, Values
from .errors import UsageError
from .rules import MATCHES


@dataclass(frozen=True)
class Wanted:
    """Conditions that a row has to meet, each where it is given. Statuses are upper case."""

    task_ids: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    tasks: tuple[str, ...] = ()
    match: str = "contains"

    @property
    def everything(self) -> bool:
        return not (self.task_ids or self.statuses or self.tasks)


def parse_wanted(document: Mapping[str, Any]) -> Wanted:
    """Read a selection; keys that are missing or ``None`` set no condition.

    :raises UsageError: naming the key that is wrong
    """
    for key in ("task_ids", "statuses", "tasks"):
        given = document.get(key)
        if given is not None and not (given and all(given)):
            raise UsageError(f"{key} must be a list of texts that are not empty. Leave it out to restore every row.")
    match = document.get("match")
    if match and not document.get("tasks"):
        raise UsageError("match needs tasks.")
    if match and match not in MATCHES:
        raise UsageError(f"match {match!r} is unknown; use {', '.join(MATCHES)}.")
    return Wanted(
        frozenset(document.get("task_ids") or ()),
        frozenset(status.upper() for status in document.get("statuses") or ()),
        tuple(document.get("tasks") or ()),
        match or "contains",
    )


class Choice:
    """Applies *wanted* to the rows of one archive.

    A record's children go with it; what only follows by its age, such as group results, goes where everything does.

    :raises UsageError: when the archive has no such column
    """

    def __init__(self, wanted: Wanted, manifest: Manifest) -> None:
        self._wanted = wanted
        self._record = manifest.find(manifest.table)
        self._flags = manifest.flags
        self._children = any(table.parent for table in manifest.tables)
        self._records: set[Any] = set()
        self._names = [re.compile(_pattern(task, wanted.match), re.DOTALL) for task in wanted.tasks]
        self._places: dict[str, int] = {}
        if self._record is not None:
            for word, column in self._record.words.items():
                (self._places[word],) = self._record.places([column])
            asked = {"task_id": wanted.task_ids, "status": wanted.statuses, "task_name": wanted.tasks}
            for word, given in asked.items():
                if given and word not in self._places:
                    raise UsageError(f"Rows of {manifest.table} have no {word}, so they cannot be selected by it.")

    def takes(self, table: ArchivedTable, values: Values) -> bool:
        """Whether a row is put back. A record is asked for before its children."""
        if self._wanted.everything:
            return True
        if table.parent is not None:
            (place,) = table.places([table.parent])
            return values[place] in self._records
        if table is not self._record or not self._selects(values):
            return False
        if self._children:
            self._records.add(values[table.places(table.identity[:1])[0]])
        return True

    def _selects(self, values: Values) -> bool:
        wanted = self._wanted
        if wanted.task_ids and values[self._places["task_id"]] not in wanted.task_ids:
            return False
        if wanted.statuses and self._status(values[self._places["status"]]) not in wanted.statuses:
            return False
        if wanted.tasks:
            name = values[self._places["task_name"]]
            return name is not None and any(pattern.fullmatch(name) for pattern in self._names)
        return True

    def _status(self, value: Any) -> str:
        if not self._flags:
            return str(value).upper()
        holds = str(value).lower() in ("t", "true", "1", "1.0")
        return next((name for name, flag in self._flags.items() if flag == holds), "")


def _pattern(task: str, match: str) -> str:
    if match == "glob":
        return "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in task)
    literal = re.escape(task)
    return literal if match == "exact" else f".*{literal}.*"
