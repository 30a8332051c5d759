# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connects the recorder to Celery, unless it is switched off."""

from __future__ import annotations

import logging
import os

from .settings import Settings, SettingsError, database_url, is_off

_log = logging.getLogger("celery_tracking")
_started = False


def start() -> None:
    """Connect once. A setting that is wrong is logged, and leaves the application as it is."""
    global _started
    if _started or is_off():
        return
    _started = True
    try:
        settings = Settings.read(os.environ)
        database_url()
    except SettingsError as error:
        _log.error("Tasks are not tracked: %s.", error)
        return
    # Only now: switched off, nothing of Celery is imported and nothing of it is changed.
    from .handlers import Handlers
    from .hooks import hook
    from .recorder import Recorder

    recorder = Recorder(settings)
    handlers = Handlers(settings, recorder)
    handlers.connect()
    hook(handlers)
