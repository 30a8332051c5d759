# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A bound for a ratio: what is aimed at, at most or at least."""

    at_most: float | None = None
    at_least: float | None = None

    def __str__(self) -> str:
        return f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"

    def met_by(self, ratio: float) -> bool:
        if self.at_most is not None:
            return ratio <= self.at_most
        return self.at_least is not None and ratio >= self.at_least


@dataclass(frozen=True)
class Line:
    """`value` against `baseline`, both as they are shown."""

    what: str
    value: str
    against: str
    baseline: str
    ratio: float
    target: Target | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        target = ""
        if self.target is not None:
            target = f"{self.target}: {'met' if self.target.met_by(self.ratio) else 'not met'}"
        return self.what, self.value, self.against, self.baseline, f"{self.ratio:.2f}", target


HEAD = ("what", "measured", "against", "measured", "ratio", "target")


def table(lines: Sequence[Line]) -> str:
    """Return *lines* as a table that reads well as text and as Markdown."""
    rows = [HEAD, *(line.cells for line in lines)]
    widths = [max(len(row[number]) for row in rows) for number in range(len(HEAD))]
    shown = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def seconds(value: float) -> str:
    return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def mebibytes(value: float) -> str:
    return f"{value / 2**20:.1f} MiB"
