# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets Ansible look and speak every half a second where there is no terminal: nobody wants to wait half a minute."""

# mypy does not look for the collection where Ansible finds it.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from ansible.plugins.callback import CallbackBase
from ansible_collections.fleetops.celery.plugins.module_utils._engine.pace import Rhythm
from ansible_collections.fleetops.celery.plugins.plugin_utils import _progress_monitor

DOCUMENTATION = """
name: hurry
type: aggregate
short_description: Show progress sooner
description:
  - Shows progress every half a second where there is no terminal.
author:
  - The fleetops.celery contributors
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "hurry"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        _progress_monitor.ELSEWHERE = Rhythm(0.5, 0.3)
