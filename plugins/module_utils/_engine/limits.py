# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a run may go, and what holds it up on the way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from .durations import parse_duration
from .errors import UsageError

if TYPE_CHECKING:
    from .gates import Gates


class Limits(NamedTuple):
    """What ends a run before the last row, and what slows it down."""

    max_rows: int | None = None
    max_percent: float | None = None
    time_budget: timedelta | None = None
    batch_size: int | None = None
    pause: timedelta | None = None
    stop_file: str | None = None
    gates: Gates | None = None

    def with_batches_of(self, most: int | None) -> Limits:
        """Return these limits with batches of *most* rows or fewer."""
        if most is None:
            return self
        return self._replace(batch_size=min(most, self.batch_size or most))


def parse_limits(document: Mapping[str, Any]) -> Limits:
    """Read limits from a dictionary; keys that are missing or ``None`` set no limit.

    :raises UsageError: naming the key that is wrong
    """
    for key in ("max_rows", "batch_size"):
        if document.get(key) is not None and document[key] < 1:
            raise UsageError(f"{key} must be at least 1.")
    percent = document.get("max_percent")
    if percent is not None and not 0 <= percent <= 100:
        raise UsageError("max_percent must lie between 0 and 100.")
    budget, pause = document.get("time_budget"), document.get("pause")
    return Limits(
        max_rows=document.get("max_rows"),
        max_percent=percent,
        time_budget=parse_duration(budget, "time_budget") if budget is not None else None,
        batch_size=document.get("batch_size"),
        pause=parse_duration(pause, "pause") if pause is not None else None,
        stop_file=document.get("stop_file"),
        gates=_parse_gates(document["gates"]) if document.get("gates") else None,
    )


def _parse_gates(document: Mapping[str, Any]) -> Gates:
    # Loaded only where it is needed: most runs have no gates.
    from .gates import parse_gates

    return parse_gates(document)
