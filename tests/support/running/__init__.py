# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the collection's modules and playbooks, directly or through a real `ansible-playbook`."""

from __future__ import annotations

from .collection import CHECKOUT, COLLECTIONS, link_checkout
from .module_process import ModuleForks, ModuleRun, run_module
from .playbook_process import PlaybookRun, run_playbook, run_through_ansible

__all__ = [
    "CHECKOUT",
    "COLLECTIONS",
    "ModuleForks",
    "ModuleRun",
    "PlaybookRun",
    "link_checkout",
    "run_module",
    "run_playbook",
    "run_through_ansible",
]
