# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways against each other: each on a fresh copy, in another order each time, and the median of all times.

A run during which the machine's cores were far apart is measured again, whichever way it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Protocol

import cores
from programs import Measured
from server import pinned_snapshot
from support.servers import Database
from ways import Way

_ATTEMPTS = 6


class Copying(Protocol):
    """A server that copies a database for the time of a measurement."""

    def copy(self, template: Database) -> AbstractContextManager[Database]: ...


def measure(
    server: Copying, template: Database, ways: Mapping[str, Way], rounds: int, pinned: bool = False
) -> dict[str, Measured]:
    """Measure each of *ways*; with *pinned*, while another session holds a snapshot of the copy open."""
    runs: dict[str, list[Measured]] = {name: [] for name in ways}
    order = list(ways)
    for _round in range(rounds):
        for name in order:
            runs[name].append(_run(server, template, name, ways[name], pinned))
        order = [*order[1:], order[0]]
    typical = {name: _typical(measured) for name, measured in runs.items()}
    numbers = {name: one.deleted for name, one in typical.items()}
    # Not the same to a row: what is old enough becomes more from one to the next.
    if max(numbers.values()) - min(numbers.values()) > max(numbers.values()) // 100:
        raise RuntimeError(f"the ways met different numbers of rows: {numbers}")
    return typical


def _run(server: Copying, template: Database, name: str, way: Way, pinned: bool) -> Measured:
    for attempt in range(_ATTEMPTS):
        with server.copy(template) as database:
            snapshot = pinned_snapshot(database) if pinned else nullcontext()
            with snapshot, cores.watched() as trips:
                measured = way(database)
        if cores.were_near(trips):
            break
        print(f"  {name}: cores far apart, {max(trips)} ns there and back, attempt {attempt + 1}", flush=True)
    return measured


def _typical(runs: list[Measured]) -> Measured:
    return Measured(
        seconds=median(run.seconds for run in runs),
        deleted=runs[0].deleted,
        longest=max(run.longest for run in runs),
        peak_bytes=max(run.peak_bytes for run in runs),
    )
