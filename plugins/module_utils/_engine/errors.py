# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong, in words for the person who has to mend it."""

from __future__ import annotations

import sys


class CleanupError(Exception):
    """Something is wrong; the text says what, where, and what to do. It never holds a secret."""

    #: Whether something had been changed, and committed, before it went wrong.
    changed = False


class UsageError(CleanupError):
    """The request itself is wrong: nothing was read or changed."""


class RefusedError(UsageError):
    """What was asked for is well-formed, but what is in the table or on the disk speaks against it."""


class DatabaseError(CleanupError):
    """The database refused or went away."""


class ConnectionLostError(DatabaseError):
    """The connection broke after it had worked."""


class TableBusyError(DatabaseError):
    """Another run has the table's lock; nothing was changed."""


class MissingRightError(DatabaseError):
    """The database's user may not do this."""


class LockTimeoutError(DatabaseError):
    """Another session held a lock for longer than ``lock_timeout``."""


class ConflictError(LockTimeoutError):
    """The server chose this transaction to give way to another, in a deadlock or for serializability."""


class StatementTimeoutError(DatabaseError):
    """The server ended a statement that took too long."""


class ArchiveError(CleanupError):
    """An archive cannot be written, or is not what its manifest says."""


class MissingLibraryError(CleanupError):
    """A Python library is missing in this interpreter."""

    def __init__(
        self, library: str, requirement: str, packages: list[str], found: str = "", *, by_role: bool = True
    ) -> None:
        """*by_role* tells whether the role prerequisites installs it."""
        self.library = library
        having = f" (only {found} is there)" if found else ""
        role = (
            "The role fleetops.celery.prerequisites installs it; or install it by hand: " if by_role else "Install it: "
        )
        super().__init__(
            f"{library} cannot be imported by {sys.executable}{having}. {role}"
            f"pip install '{requirement}' for that interpreter, "
            f"or the system package {' or '.join(packages)} for the system's Python."
        )
