# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Going around rows that other sessions hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .database import Database
from .libraries import sa
from .prefixed import prefixed

_ROWS_BY_KEY = 500


def can_skip_locked(database: Database) -> bool:
    """Whether the server has ``FOR UPDATE SKIP LOCKED``."""
    if database.kind == "postgresql":
        return True
    if database.kind == "mysql":
        return database.server_version() >= ((10, 6) if database.is_mariadb else (8, 0, 1))
    return False


def free_rows(connection: Any, key: Sequence[Any], condition: Any) -> Iterator[Any]:
    """Lock the rows that meet *condition* and that no other session holds.

    Yields conditions that select them, many together or one by one; none where the key has several
    columns, so that the closing sweep tries them once more.
    """
    if len(key) != 1:
        return
    free = sa.select(key[0]).where(condition).with_for_update(skip_locked=True)
    identifiers = [row[0] for row in connection.execute(free)]
    together = _ROWS_BY_KEY if _finds_by_key(connection, key[0], identifiers[:_ROWS_BY_KEY]) else 1
    for start in range(0, len(identifiers), together):
        yield key[0].in_(identifiers[start : start + together])


def _finds_by_key(connection: Any, key: Any, some: Sequence[Any]) -> bool:
    """Whether the server goes to rows by their keys where several are given.

    InnoDB waits for every row that it reads, and MySQL and MariaDB may choose to read the whole table.
    """
    if connection.dialect.name == "postgresql" or not some:
        return True
    plan = connection.execute(prefixed(sa.delete(key.table).where(key.in_(some)), "EXPLAIN")).first()
    return str(plan._mapping["type"]) == "range"
