# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a purge deletes in batches, rewrites the table, or empties it at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .database import Database
from .limits import Limits
from .records import RecordTable
from .rules import PurgeRule

if TYPE_CHECKING:
    from .census import Census
    from .selection import Selection
    from .statuses import Statuses


class Strategy:
    """How one purge goes about it. This one leaves all of it to batches."""

    name = "batches"
    asks = False  #: whether something faster would do, and says why not
    reason: str | None = None  #: why it is batches, where something faster was asked for

    def __init__(self) -> None:
        self.cleared: list[str] = []  #: tables that a run had left that was killed

    def choose(self, before: Census, condition: Any) -> None:
        """Choose by how many of the rows meet *condition* and go: as counted, or as the server's planner sees it."""

    def run(self, statuses: Statuses, selections: Sequence[Selection]) -> list[int]:
        """Keep only what no selection takes; return how many rows went for each, or nothing: batches are to do it."""
        return []


def choose_strategy(
    database: Database,
    record: RecordTable,
    rules: Sequence[PurgeRule],
    limits: Limits,
    exclusive_lock: timedelta | None,
    *,
    auto: bool = False,
    archived: bool = False,
) -> Strategy:
    """Return the strategy for *rules*.

    :param exclusive_lock: how long others may be locked out; ``None`` where they may not
    :param auto: say why it is batches even where they may not
    :param archived: the rows go into an archive, which only batches do
    """
    everything = any(rule.all for rule in rules)
    if exclusive_lock is None and not everything and not auto:
        return Strategy()
    # Loaded only where it is needed: most runs lock nobody out.
    from .rewriting import Rewriting

    return Rewriting(database, record, limits, exclusive_lock, everything=everything, archived=archived)
