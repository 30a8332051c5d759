# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real applications of Celery: with Django and its packages for results and beat, and with Celery's own backend."""

from __future__ import annotations

from .application import Application, ReadResult
from .beat import RunningBeat
from .worker import WorkerIds, run_worker

__all__ = [
    "Application",
    "ReadResult",
    "RunningBeat",
    "WorkerIds",
    "run_worker",
]
