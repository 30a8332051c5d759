# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured, as a picture: how long each takes by what it is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot
from report import Line

_MET, _NOT_MET, _UNBOUND = "#2a9d8f", "#ee8434", "#8a8f98"
_INCHES_OF_A_LINE = 0.34


def draw(lines: Sequence[Line], path: Path) -> None:
    """Write *lines* as bars to *path*, in the format that its ending names; what has a target shows it as a mark."""
    # Text as text; and without the salt, each picture would have other names inside.
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "fleetops.celery"})
    figure, axes = pyplot.subplots(figsize=(11, 1 + _INCHES_OF_A_LINE * len(lines)), layout="constrained")
    names = [f"{line.what}, against {line.against}" for line in lines]
    axes.barh(range(len(lines)), [line.ratio for line in lines], color=[_colour(line) for line in lines])
    for number, line in enumerate(lines):
        figures = f"{line.ratio:.2f} = {line.value} / {line.baseline}"
        axes.text(1.02, number, figures, transform=axes.get_yaxis_transform(), va="center", size=8)
        bound = line.target and (line.target.at_most or line.target.at_least)
        if bound:
            axes.plot(bound, number, marker="|", markersize=14, color="black")
    axes.axvline(1, color="black", linewidth=0.7, linestyle=":")
    axes.set(xscale="log", xlabel="ratio; a stroke is the target, the dotted line is what it is measured against")
    axes.set_yticks(range(len(lines)), names, size=8)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _colour(line: Line) -> str:
    if line.target is None:
        return _UNBOUND
    return _MET if line.target.met_by(line.ratio) else _NOT_MET
