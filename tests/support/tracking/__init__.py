# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real worker whose tasks keep a journal of their own, to hold against what the recorder wrote."""

from __future__ import annotations

from .package import tracking_path
from .recorder import driver_url, recorder_module
from .worker import TrackedWorker

__all__ = ["TrackedWorker", "driver_url", "recorder_module", "tracking_path"]
