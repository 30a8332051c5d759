# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is worth doing about a table's space: steps, and why others are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .bloat import IndexSpace
from .database import Database
from .libraries import sa
from .records import RecordTable
from .sizes import Size

_STALE = 0.1  # share of rows by which statistics may be off before they are gathered anew


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Before the steps come to be done, ``expected`` rows will be deleted, and ``ended`` ones written anew.
    """

    mode: str
    least: float
    expected: int
    ended: int


@dataclass(frozen=True)
class Step:
    """A statement in words, and what runs it. ``run`` returns why it has gained nothing, or an empty text."""

    words: str
    run: Callable[[], str]
    #: Steps of a lower one go first.
    order: int = 0
    #: Where it gains nothing, something is in the way of what comes after it too.
    decides: bool = False


@dataclass
class Plan:
    """``left_out`` says why there is no step, ``notes`` what else the reader should know."""

    steps: list[Step] = field(default_factory=list)
    left_out: str = ""
    notes: list[str] = field(default_factory=list)
    indexes: list[IndexSpace] = field(default_factory=list)
    #: bytes of the copy that a rebuild makes before it gives the old one back
    copy_bytes: int = 0


#: Looks at a table and says what is worth doing.
Planner = Callable[[Database, RecordTable, Request, Size], Plan]


def execute(database: Database, table: Any, statement: str, names: Mapping[str, str] | None = None) -> str:
    """Run *statement*, in which ``%(fullname)s`` is *table*, outside a transaction.

    *names* are others in it, quoted. Returns an empty text, as a step that has done its work.
    """
    made: Any = sa.DDL(statement, context=dict(names or {}))  # type: ignore[no-untyped-call]
    database.outside_transaction(made.against(table))
    return ""


def count_rows(database: Database, table: Any) -> int:
    return int(database.value(sa.select(sa.func.count()).select_from(table)))


def bytes_of_rows(database: Database, table: Any, size: Size, rows: int) -> int:
    """Estimate how many of the table's bytes *rows* of its rows take."""
    return size.size_bytes * rows // max(count_rows(database, table), 1) if rows else 0


def up_to_date(counted: int, known: int | None) -> bool:
    """Whether statistics that know of *known* rows do for *counted* ones."""
    return known is not None and abs(counted - known) <= _STALE * max(counted, 100)
