# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work itself: statistics, purge, zombies and space of the tables behind Celery.

This package imports neither Ansible nor Celery, and only relatively within itself, so the whole
folder can be copied elsewhere and imported under another name.

It is **private** to the collection: it can change at any time.
"""

from .payload import compile_once

compile_once(__spec__.loader, __path__)
