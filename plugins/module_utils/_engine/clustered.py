# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reaching the rows of a batch where InnoDB keeps them: in the order of their primary key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .axes import Axis
from .database import Database
from .libraries import sa


def key_range(database: Database, axis: Axis, batch: Sequence[Any]) -> Any:
    """Return a condition on the primary key that all rows on *axis* meet which meet *batch*.

    InnoDB looks up a row that it finds in another index from the root of the primary key. Rows of
    neighbouring dates have neighbouring keys in most tables; with both ranges to choose from, the server reads
    the shorter one. The other index alone answers this question, for each of its entries ends in the row's key
    (https://dev.mysql.com/doc/refman/8.4/en/innodb-index-types.html).

    Rows that come to match afterwards may lie beyond it, as they may behind the frontier.
    """
    if database.kind != "mysql" or not axis.indexed or len(axis.ties) != 1:
        return sa.true()
    (key,) = axis.ties
    if not isinstance(key.type, sa.Integer):
        return sa.true()
    [ends] = database.rows(sa.select(sa.func.min(key), sa.func.max(key)).where(axis.bound, *batch))
    return sa.true() if ends[0] is None else key.between(*ends)
