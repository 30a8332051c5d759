# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements that this process runs, and a hand in between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine


@contextmanager
def at_each(statement: str, do: Callable[[int], None]) -> Iterator[list[str]]:
    """Call *do* with a running number after each statement that has this text; the list holds all statements."""
    said: list[str] = []
    count = 0

    def after(_connection: Any, _cursor: Any, text: str, *_others: Any) -> None:
        nonlocal count
        said.append(text)
        if statement in text:
            count += 1
            do(count)

    event.listen(Engine, "after_cursor_execute", after)
    try:
        yield said
    finally:
        event.remove(Engine, "after_cursor_execute", after)
