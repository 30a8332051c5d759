# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""For whom a task works, in a column that may be an application's own: its users may be numbers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from .schema import task_metadata

COLUMN = task_metadata.c.user_id.name


def type_of_users(engine: sa.engine.Engine) -> Any:
    """Return the column's type as the database has it."""
    columns = sa.inspect(engine).get_columns(task_metadata.name)
    return {column["name"]: column["type"] for column in columns}[COLUMN]


def fitting(user: str | None, kind: Any) -> str | None:
    """Return *user* where a column of that type takes it, or else None: the task's record is worth more."""
    if user is None or isinstance(kind, sa.types.NullType):  # a type that SQLAlchemy does not know
        return user
    if isinstance(kind, sa.String):
        return user if len(user) <= (kind.length or len(user)) else None
    try:
        if isinstance(kind, sa.Integer):
            bits = 64 if isinstance(kind, sa.BigInteger) else 16 if isinstance(kind, sa.SmallInteger) else 32
            number = int(user)
            # Python reads more as a number than a database does.
            return user if str(number) == user and -(1 << bits - 1) <= number < 1 << bits - 1 else None
        if type(kind).__name__ == "UUID":  # SQLAlchemy 1.4 knows PostgreSQL's alone
            return str(UUID(user))
    except ValueError:
        pass
    return None
