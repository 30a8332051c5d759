# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a database holds, to compare before and after."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ..servers import Database

Dump = dict[str, list[tuple[Any, ...]]]


def dump(database: Database) -> Dump:
    """Every row of every table, in an order of no meaning that stays the same."""
    found: Dump = {}
    with database.begin() as connection:
        for name in sorted(sa.inspect(connection).get_table_names()):
            rows = connection.execute(sa.select(sa.text("*")).select_from(sa.table(name)))
            # memoryview and the like have no order, their text has.
            found[name] = sorted((tuple(_plain(value) for value in row) for row in rows), key=repr)
    return found


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
