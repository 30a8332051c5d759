# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lends SQLAlchemy to an application that has none: the copy beside this package, where there is one."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

#: The folder, or the zip file, that holds this package.
HOME = str(Path(__file__).parent.parent)

if find_spec("sqlalchemy") is None:
    # Last, so that the application's own libraries always win.
    sys.path.append(str(Path(HOME, "libraries")))
