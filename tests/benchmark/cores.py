# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far apart the machine's cores are while something is measured.

The host of a virtual machine moves its processors about. For some seconds two of them share a cache, then they are on
different chips, and what one has written takes the other several times as long to read. A server whose threads work on
the same table, as InnoDB's purge does beside the session that deletes, then takes up to twice as long, and one that
works alone is none the slower. So a run counts only if the cores were near each other all the while.

As a program it tells the nanoseconds that a write takes from the first core to the last and back, twice a second,
until its input is closed.
"""

from __future__ import annotations

import mmap
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_FAR = 1.4  # times as far as ever seen near; measured, with the loops of Python in it: 180 ns near, 330 ns far
_INTERVAL = 0.5  # seconds; a look takes 4 ms of both cores
_PATIENCE = 30.0  # seconds; a machine whose cores stay far apart is measured as it is
_CHUNKS, _TRIPS = 10, 300

_nearest = sys.maxsize


@contextmanager
def watched() -> Iterator[list[int]]:
    """Begin once the cores are near; give a list that has the round trips, in nanoseconds, when the block has ended."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdin is not None
        assert watch.stdout is not None
        patience = time.monotonic() + _PATIENCE
        while not were_near(trips := [int(watch.stdout.readline())]) and time.monotonic() < patience:
            pass
        try:
            yield trips
        finally:
            watch.stdin.close()
            trips += map(int, watch.stdout)


def were_near(trips: list[int]) -> bool:
    """Whether all of *trips* were about as short as the shortest that this process has seen."""
    global _nearest
    _nearest = min(_nearest, *trips)
    return max(trips) <= _FAR * _nearest


def _round_trip(first: int, last: int) -> int:
    """Return the nanoseconds of the fastest of some short series: another process may take a core's time in between."""
    line = mmap.mmap(-1, mmap.PAGESIZE)
    partner = os.fork()
    if partner == 0:
        os.sched_setaffinity(0, {last})
        while line[0] != 2:
            if line[0] == 1:
                line[0] = 0
        os._exit(0)
    os.sched_setaffinity(0, {first})
    fastest = sys.maxsize
    for _chunk in range(_CHUNKS):
        began = time.perf_counter_ns()
        for _trip in range(_TRIPS):
            line[0] = 1
            while line[0] == 1:
                pass
        fastest = min(fastest, (time.perf_counter_ns() - began) // _TRIPS)
    line[0] = 2
    os.waitpid(partner, 0)
    return fastest


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))
    watching = True
    while watching:
        print(_round_trip(cores[0], cores[-1]) if len(cores) > 1 else 0, flush=True)
        watching = not select.select([sys.stdin], [], [], _INTERVAL)[0]


if __name__ == "__main__":
    main()
