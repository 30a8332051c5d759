# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking the server how it would run a statement."""

from __future__ import annotations

from typing import Any

from .libraries import sa


def explained(statement: Any, prefix: str) -> Any:
    """Return *statement* with *prefix*, such as ``EXPLAIN``, in front of it."""
    # Made here, as the library may be missing where this is only imported.
    from sqlalchemy.ext.compiler import compiles

    class Explained(sa.sql.expression.Executable, sa.sql.expression.ClauseElement):
        inherit_cache = False

    @compiles(Explained)
    def render(_element: Any, compiler: Any, **options: Any) -> str:
        return f"{prefix} {compiler.process(statement, **options)}"

    return Explained()
