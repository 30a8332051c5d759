# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorder's own code in the test's process, where it does not start by itself."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

from ..servers import Database
from ..servers.base import with_driver
from .package import tracking_path


def recorder_module(name: str) -> ModuleType:
    """A module of `celery_tracking`."""
    path = str(tracking_path())
    if path not in sys.path:
        sys.path.append(path)
    before = os.environ.get("CELERY_TRACKING")
    os.environ["CELERY_TRACKING"] = "off"
    try:
        return importlib.import_module(f"celery_tracking.{name}")
    finally:
        if before is None:
            del os.environ["CELERY_TRACKING"]
        else:
            os.environ["CELERY_TRACKING"] = before


def driver_url(database: Database) -> str:
    return with_driver(database.url).render_as_string(hide_password=False)
