# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether anything but this run's own deletions can have happened to a table while it went on.

After a walk, PostgreSQL's index still holds an entry for each deleted row, and a look for rows that
came to match behind the walk reads all of them: a quarter of what deleting them took. Where nobody
else has written, no row can have come, and there is nothing to look for.
"""

from __future__ import annotations

from typing import Any

from .database import Database
from .libraries import sa
from .sizes import regclass

#: With any of these, a row that a DELETE meets may stay, or other rows may come.
_SURPRISES = ("relhastriggers", "relhasrules", "relhassubclass", "relrowsecurity")


class Stillness:
    """The server's transactions, as of when this is made.

    Every transaction that writes, in whichever database of the server, takes the next number.
    """

    def __init__(self, database: Database, table: Any) -> None:
        self._database = database
        self._next: int | None = None
        if database.kind == "postgresql" and not self._surprises(table):
            oldest, following = self._numbers()
            self._next = following if oldest == following else None

    def unbroken(self, own: int) -> bool:
        """Whether since then only *own* transactions have written; ``False`` where the server does not tell.

        :param own: how many of this run's transactions have written a row; no more than really did
        """
        return self._next is not None and self._numbers()[1] == self._next + own

    def _numbers(self) -> tuple[int, int]:
        """Return the numbers of the oldest transaction that still runs, and of the next after the last that ended."""
        # xmin:xmax:xip_list; by the name that servers before 13 know as well
        text = self._database.value(sa.select(sa.cast(sa.func.txid_current_snapshot(), sa.Text())))
        oldest, following, _running = str(text).split(":")
        return int(oldest), int(following)

    def _surprises(self, table: Any) -> bool:
        relation = sa.table("pg_class", sa.column("oid"), *map(sa.column, _SURPRISES), schema="pg_catalog")
        any_of_them = sa.or_(*(relation.c[name] for name in _SURPRISES))
        return bool(
            self._database.value(sa.select(any_of_them).where(relation.c.oid == regclass(self._database, table)))
        )
