# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a driver's exception means to the person who reads it."""

from __future__ import annotations

from typing import Any

from .errors import (
    ConflictError,
    ConnectionLostError,
    DatabaseError,
    LockTimeoutError,
    MissingRightError,
    StatementTimeoutError,
)

# PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html
# MariaDB and MySQL: https://mariadb.com/kb/en/mariadb-error-code-reference/
_LOCKED = {"55P03", 1205}
_CONFLICT = {"40P01", "40001", 1213, 1020}
_TOO_LONG = {"57014", 1969, 3024}
_RIGHTS = {"42501", 1142, 1143, 1044, 1227}
_REFERENCED = {"23503", 1451}
_LOST = {"57P01", "57P02", "57P03", "08006", "08003", 2006, 2013, 2055, 1927}


def explain(error: Any, where: str, connected: bool, user: str) -> DatabaseError:
    """Turn an exception of SQLAlchemy into one of ours; the text still has to be scrubbed.

    :param where: the database in words, without its password
    :param connected: whether this connection had worked before
    """
    original = getattr(error, "orig", None) or error
    code = _code(original)
    said = _first_line(original)
    lost = bool(getattr(error, "connection_invalidated", False)) or code in _LOST
    if code in _LOCKED or "database is locked" in said:
        return LockTimeoutError(f"Another session holds a lock on {where}: {said}.")
    if code in _CONFLICT:
        return ConflictError(f"Another transaction got in the way on {where}: {said}.")
    if code in _TOO_LONG:
        return StatementTimeoutError(f"{where} ended a statement that took too long: {said}.")
    if connected and (lost or "closed the connection" in said or "Lost connection" in said):
        return ConnectionLostError(
            f"The connection to {where} was lost: {said}. What was committed stays; run the same again to go on."
        )
    if code in _RIGHTS:
        return MissingRightError(f"{where} refused: {said}. {advice_on_rights(user)}")
    if code in _REFERENCED:
        return DatabaseError(
            f"{where} refused, for other rows point at the rows to delete: {said}. "
            "Delete those rows first, or let the foreign key cascade."
        )
    if not connected:
        return DatabaseError(
            f"Cannot open {where}: {said}. Check that the server runs, and host, port, database, user and password."
        )
    return DatabaseError(f"{where} refused: {said}.")


def advice_on_rights(user: str) -> str:
    return f"Grant the user {user} what is missing, or use another user."


def _code(original: Any) -> Any:
    # PyMySQL and mysqlclient raise (number, text); the number says more than their sqlstate.
    first = (getattr(original, "args", None) or (None,))[0]
    if isinstance(first, int):
        return first
    return getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)


def _first_line(original: Any) -> str:
    arguments: tuple[Any, ...] = getattr(original, "args", ())
    # PyMySQL and mysqlclient raise (number, text).
    if len(arguments) >= 2 and isinstance(arguments[0], int):
        text = str(arguments[1])
    else:
        text = str(original)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    detail = [line for line in lines[1:] if line.startswith("DETAIL:")]
    return " ".join([*lines[:1], *detail]).rstrip(".") or type(original).__name__
