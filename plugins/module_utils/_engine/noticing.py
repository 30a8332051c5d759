# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a running beat took notice of a change of its schedule.

Nothing but its log tells: beat only reads, and writes down what it has sent every few minutes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from .application import CeleryProcess, Configuration, read_configuration
from .docker import Docker
from .errors import CleanupError

# django_celery_beat/schedulers.py says so at level INFO.
_NOTICED = "DatabaseScheduler: Schedule changed."
_INTERVAL = 5  # seconds; how often its scheduler looks unless it is told
_GRACE = 10  # seconds; beat may be sending tasks meanwhile


@dataclass(frozen=True)
class Notice:
    """Whether beat said that it took notice; ``None`` where it cannot be told. ``why`` it is not known to have done."""

    taken: bool | None
    why: str | None = None


def wait_for_beat(
    docker: Docker, processes: Sequence[CeleryProcess], known: Configuration | None, since: datetime
) -> Notice:
    """Wait until a running beat has said that it took notice of a change made after *since*; never fail.

    :param known: how the application is configured; it is asked where this is ``None``
    :param since: by this host's clock, aware
    """
    beats = [one for one in processes if "beat" in one.roles and one.container.state == "running"]
    if not beats:
        return Notice(None, "No container of the project runs beat, by its command, so it is not known to take notice.")
    telling = [one for one in beats if one.shows_info]
    if not telling:
        return Notice(
            None,
            f"Beat in container {beats[0].container.name} does not show what it says at level INFO, so it is not known "
            "to have taken notice. Start it with --loglevel info and without --logfile, or restart it now.",
        )
    seconds = max(_interval(docker, one, known) for one in telling) + _GRACE
    deadline = time.monotonic() + seconds
    try:
        while not any(_NOTICED in docker.logs_since(one.container, since.isoformat()) for one in telling):
            if time.monotonic() >= deadline:
                return Notice(
                    False, f"Beat has not said within {seconds:g} s that it took notice; see its log, or restart it."
                )
            time.sleep(0.5)
    except CleanupError as problem:
        return Notice(None, f"Beat's log cannot be read, so it is not known to have taken notice: {problem}")
    return Notice(True)


def _interval(docker: Docker, process: CeleryProcess, known: Configuration | None) -> float:
    """Return after how many seconds at the latest *process* looks at its schedule again."""
    if process.beat_interval:
        return process.beat_interval
    try:
        known = known or read_configuration(docker, process)
    except CleanupError:
        return _INTERVAL
    return known.beat_interval or _INTERVAL
