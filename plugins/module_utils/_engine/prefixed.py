# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A statement that is part of another: ``EXPLAIN …``, ``CREATE TABLE … AS …``."""

from __future__ import annotations

from typing import Any

from .libraries import sa


def prefixed(statement: Any, prefix: str) -> Any:
    """Return *statement* with *prefix* in front of it."""
    # Made here, as the library may be missing where this is only imported.
    from sqlalchemy.ext.compiler import compiles

    class Prefixed(sa.sql.expression.Executable, sa.sql.expression.ClauseElement):
        inherit_cache = False

    @compiles(Prefixed)
    def render(_element: Any, compiler: Any, **options: Any) -> str:
        return f"{prefix} {compiler.process(statement, **options)}"

    return Prefixed()
