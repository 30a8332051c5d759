# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many rows a condition selects, as the server's planner sees it."""

from __future__ import annotations

import json
import re
from typing import Any

from .database import Database
from .errors import DatabaseError
from .libraries import sa
from .prefixed import prefixed


def estimate_matching(database: Database, table: Any, condition: Any) -> int | None:
    """Return about how many rows of *table* meet *condition*; ``None`` where the server does not say.

    It reads no row: counting them takes as long as deleting them.
    """
    statement: Any = sa.select(sa.literal_column("1")).select_from(table).where(condition)
    try:
        if database.kind == "postgresql":
            return _postgresql(database.value(prefixed(statement, "EXPLAIN (FORMAT JSON)")))
        if database.kind == "mysql":
            # MySQL says what share of the rows passes the other conditions, MariaDB where it is asked for more.
            prefix = "EXPLAIN EXTENDED" if database.is_mariadb else "EXPLAIN"
            return _mysql(database.rows(prefixed(statement, prefix)))
    except DatabaseError:
        pass  # nothing depends on it
    return None


def _postgresql(plan: Any) -> int:
    # Whether the driver has read the JSON depends on the driver.
    document = json.loads(plan) if isinstance(plan, str) else plan
    return int(document[0]["Plan"]["Plan Rows"])


def _mysql(plan: Any) -> int | None:
    # Its first line is the table; the others, if any, are subqueries of the condition.
    line = plan[0]._mapping
    if line["rows"] is None:
        return None
    # Where MariaDB filters by a second index, it writes that one's share behind the number: 120 (3%).
    rows = re.match(r"[0-9]+", str(line["rows"]))
    return int(int(rows[0]) * float(line["filtered"]) / 100) if rows else None
