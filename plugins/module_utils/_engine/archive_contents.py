# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a manifest says of a purge and of the tables that it deletes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .archive_manifest import ArchivedTable, Manifest
from .archive_rows import column_document
from .clock import Clock
from .database import Database
from .records import RecordTable
from .rules import PurgeRule, rule_document

#: Words for columns by which a restore can select.
_SELECTING = ("task_id", "task_name", "status")


def describe_purge(database: Database, record: RecordTable, rules: Sequence[PurgeRule], clock: Clock) -> Manifest:
    """Return the manifest of a purge that begins now; its file is not known yet."""
    return Manifest(
        file="",
        compression="",
        kind=database.kind,
        database=database.name,
        profile=record.profile.name,
        table=record.name,
        rules=[
            {**rule_document(rule), "before": (clock.now - rule.older_than).isoformat() if rule.older_than else None}
            for rule in rules
        ],
        started=clock.now.isoformat(),
        flags=dict(record.profile.flags),
    )


def describe_table(database: Database, record: RecordTable, table: Any) -> ArchivedTable:
    """Return what a restore has to know of *table*, which is *record* or one beside it."""
    profile = record.profile
    known = next((one for one in (profile, *profile.followers) if one.table == table.fullname), None)
    words = {word: name for word, name in known.columns.items() if name in table.c} if known else {}
    parent = next((child.column for child in profile.children if child.table == table.fullname), None)
    age = next((words[word] for word in ("created", "finished") if word in words), None)
    # Without AUTOINCREMENT, SQLite gives the id of a deleted row to a new one: what else no update changes tells.
    telling = [*(column.name for column in table.primary_key), parent, words.get("task_id"), age]
    return ArchivedTable(
        name=table.fullname,
        columns=[column_document(database, column) for column in table.c],
        identity=list(dict.fromkeys(name for name in telling if name)) or [column.name for column in table.c],
        words={word: words[word] for word in _SELECTING if word in words},
        parent=parent,
    )
