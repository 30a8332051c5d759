# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the purge's time grows with the rows: the exponent, which is 1 where twice the rows take twice the time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise

import contest
import ways
from report import Line, Target, seconds
from server import DurablePostgreSQL
from support.servers import Database

#: Bytes for a row, its index entries, a copy of both, and the log of making and deleting it.
DISK_OF_A_ROW = 2_500
_LINEAR = Target(at_most=1.05)


def seconds_of(server: DurablePostgreSQL, template: Database, rounds: int) -> float:
    return contest.measure(server, template, {"purge": ways.purge}, rounds)["purge"].seconds


def exponents(times: Mapping[int, float]) -> Iterator[Line]:
    """The exponent between neighbouring sizes, and the one that counts: from the smallest to the largest."""
    sizes = sorted(times)
    pairs = [(pair, None) for pair in pairwise(sizes)] if len(sizes) > 2 else []
    for (few, many), target in [*pairs, ((sizes[0], sizes[-1]), _LINEAR)]:
        exponent = math.log(times[many] / times[few]) / math.log(many / few)
        what = f"growth exponent of the purge, half of {many:,} rows"
        yield Line(what, seconds(times[many]), f"half of {few:,} rows", seconds(times[few]), exponent, target)
