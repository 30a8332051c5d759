# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a purge does with rows that other tables' foreign keys point at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .children import ChildTables
from .database import Database
from .errors import RefusedError
from .libraries import sa
from .records import RecordTable
from .references import Reference, find_references
from .rules import FAIL, FOLLOW, SKIP
from .sizes import estimate_rows


class PointedAt:
    """The foreign keys onto the tables that a purge of *record* deletes from, and what is to be done about them.

    A record stays with its children, so a row that points at a child holds the record.

    :param choice: one of :data:`rules.REFERENCED`; ``None`` follows where the profile knows children, else it fails
    :param archived: the rows that go are archived, so none may go by a foreign key, unseen
    """

    def __init__(
        self,
        database: Database,
        record: RecordTable,
        children: ChildTables,
        choice: str | None,
        *,
        archived: bool = False,
    ) -> None:
        self._database = database
        self._record = record
        self._children = children
        self._choice = choice or (FOLLOW if record.profile.children else FAIL)
        self._archived = archived
        self.references = find_references(database, record.profile.purged)

    def keep(self, table: Any) -> Any:
        """Return the condition that nothing holds a row of *table*; ``None`` where such rows are not left."""
        held = [holds for _reference, holds in self._holding(table)] if self._choice == SKIP else []
        return sa.not_(sa.or_(*held)) if held else None

    def refuse(self, table: Any, condition: Any) -> None:
        """Raise where something would hold a row of *table* that meets *condition* back."""
        if self._choice == SKIP:
            return
        for reference, holds in self._holding(table):
            if self._goes_first(reference) or (reference.gives_way and not self._archived):
                continue
            held = sa.select(sa.literal(1)).select_from(table).where(condition, holds)
            if self._database.rows(held.limit(1)):
                raise RefusedError(
                    f"Rows of {reference} point at rows of {reference.onto} that are to go. "
                    f"Nothing was deleted. Delete those rows first, or set referenced to {SKIP} to leave what they "
                    "point at."
                )

    def count(self, table: Any, condition: Any) -> int:
        """Return how many rows of *table* that meet *condition* stay because something holds them."""
        keep = self.keep(table)
        if keep is None:
            return 0
        held = sa.select(sa.func.count()).select_from(table).where(condition, sa.not_(keep))
        return int(self._database.value(held))

    def notes(self) -> Iterator[str]:
        """Say what the foreign keys will cost, and what goes by them."""
        for reference in self.references:
            if reference.gives_way and self._choice != SKIP:
                yield (
                    f"Rows of {reference} that point at a deleted row of {reference.onto} go with it, or lose it, "
                    "by their foreign key"
                )
            if not reference.indexed and self._database.kind != "sqlite":
                rows = estimate_rows(self._database, reference.selectable)
                about = f" of about {rows:,} rows" if rows else ""
                yield (
                    f"The foreign key {reference} has no index: for each row of {reference.onto} that is deleted the "
                    f"server reads the whole of {reference.table}{about}. Create an index on {reference.table} "
                    f"({', '.join(reference.columns)})"
                )

    def _holding(self, table: Any) -> Iterator[tuple[Reference, Any]]:
        """Yield the foreign keys that hold rows of *table*, each with the condition that it holds one."""
        children = self._children.tables if table is self._record.table else []
        for reference in self.references:
            if reference.onto == table.fullname:
                yield reference, reference.points_at(table)
            for child, column in children:
                if reference.onto == child.fullname:
                    yield reference, self._children.parent_of(child, column, reference.points_at(child))

    def _goes_first(self, reference: Reference) -> bool:
        """Whether the rows that point are children that the purge deletes before the record."""
        return (
            self._choice == FOLLOW
            and reference.onto == self._record.table.fullname
            and reference.targets == (self._record.parent_key.name,)
            and any(
                (reference.table, reference.columns) == (child.name, (column.name,))
                and reference.schema in (None, child.schema)
                for child, column in self._children.tables
            )
        )
