# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a purge does with rows that other tables' foreign keys point at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .database import Database
from .errors import RefusedError
from .libraries import sa
from .records import RecordTable
from .references import Reference, find_references
from .sizes import estimate_rows

#: Fail before the first batch; leave such rows; or delete the rows of the profile's own children first.
FAIL, SKIP, FOLLOW = CHOICES = ("fail", "skip", "follow")


class PointedAt:
    """The foreign keys onto *record*, and what is to be done about them.

    :param choice: one of ``CHOICES``; ``None`` follows where the profile knows children, and fails elsewhere
    :param archived: the rows that go are archived, so none may go by a foreign key, unseen
    """

    def __init__(self, database: Database, record: RecordTable, choice: str | None, *, archived: bool = False) -> None:
        self._database = database
        self._record = record
        self._choice = choice or (FOLLOW if record.profile.children else FAIL)
        self._archived = archived
        self.references = find_references(database, record)

    @property
    def keep(self) -> Any:
        """The condition that nothing points at a row; ``None`` where such rows are not left."""
        if self._choice != SKIP or not self.references:
            return None
        return sa.not_(sa.or_(*(one.points_at(self._record) for one in self.references)))

    def refuse(self, condition: Any) -> None:
        """Raise where something points at a row that meets *condition* and would hold it back."""
        if self._choice == SKIP:
            return
        for reference in self._binding():
            held = sa.and_(condition, reference.points_at(self._record))
            if self._database.rows(sa.select(self._record.identity).where(held).limit(1)):
                raise RefusedError(
                    f"Rows of {reference} point at rows of {self._record.name} that the rules select. "
                    f"Nothing was deleted. Delete those rows first, or set referenced to {SKIP} to leave what they "
                    "point at."
                )

    def count(self, condition: Any) -> int:
        """Return how many rows that meet *condition* stay because something points at them."""
        keep = self.keep
        if keep is None:
            return 0
        held = sa.select(sa.func.count()).select_from(self._record.table).where(condition, sa.not_(keep))
        return int(self._database.value(held))

    def notes(self) -> Iterator[str]:
        """Say what the foreign keys will cost, and what goes by them."""
        for reference in self.references:
            if reference.gives_way and self._choice != SKIP:
                yield f"Rows of {reference} that point at a deleted row go with it, or lose it, by their foreign key"
            if not reference.indexed and self._database.kind != "sqlite":
                rows = estimate_rows(self._database, reference.selectable)
                about = f" of about {rows:,} rows" if rows else ""
                yield (
                    f"The foreign key {reference} has no index: for each row that is deleted the server reads the "
                    f"whole of {reference.table}{about}. Create an index on {reference.table} "
                    f"({', '.join(reference.columns)})"
                )

    def _binding(self) -> list[Reference]:
        followed = self._record.profile.children if self._choice == FOLLOW else ()
        known = {child.table.rpartition(".")[2] for child in followed}
        return [one for one in self.references if (self._archived or not one.gives_way) and one.table not in known]
