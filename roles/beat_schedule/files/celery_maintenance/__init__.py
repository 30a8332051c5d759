# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Celery tasks that keep the tables behind Celery small: :mod:`celery_maintenance.tasks`.

The package is one zip file on Python's path. It needs nothing but what the application's image has, and SQLAlchemy,
which the file may bring along.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

if find_spec("sqlalchemy") is None:
    # At the end, so that nothing of the application's own is ever hidden by it.
    sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "libraries"))
