# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one library that the engine needs, imported in one place.

Ansible loads a module's code before anybody can say that a library is missing, so the import must
not fail here: :func:`require_sqlalchemy` says it when the work begins.
"""

from __future__ import annotations

import gc

from .errors import MissingLibraryError

__all__ = ["require_sqlalchemy", "sa", "sqlalchemy_version"]

OLDEST_SQLALCHEMY = (1, 4, 31)

# What an import makes is there to stay: to look through it for garbage would take a twentieth of the time.
_collects = gc.isenabled()
gc.disable()
try:
    import sqlalchemy as sa
except ImportError:
    sa = None  # type: ignore[assignment]
finally:
    # Nor later, each time that some new objects have come.
    gc.freeze()
    if _collects:
        gc.enable()


def sqlalchemy_version() -> tuple[int, ...]:
    """Return the installed version as numbers; ``()`` where SQLAlchemy is missing."""
    if sa is None:
        return ()
    digits = ("".join(filter(str.isdigit, part)) for part in sa.__version__.split(".")[:3])
    return tuple(int(part) for part in digits if part)


def require_sqlalchemy() -> None:
    """Raise :class:`MissingLibraryError` unless a supported SQLAlchemy can be imported."""
    version = sqlalchemy_version()
    if not version:
        raise MissingLibraryError("SQLAlchemy", "SQLAlchemy", ["python3-sqlalchemy"])
    if version < OLDEST_SQLALCHEMY:
        raise MissingLibraryError(
            "SQLAlchemy 1.4.31 or newer",
            "SQLAlchemy>=1.4.31",
            ["python3-sqlalchemy"],
            found=f"{sa.__version__} in {sa.__file__}",
        )
