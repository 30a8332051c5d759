# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorder and the engine under the names that they have in an application."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..running.collection import BUILD, CHECKOUT

ROLE = CHECKOUT / "roles" / "task_tracking" / "files"
SITECUSTOMIZE = ROLE / "sitecustomize"


def tracking_path() -> Path:
    """A folder for PYTHONPATH with `celery_tracking` and `celery_maintenance.engine`: links to the checkout."""
    folder = BUILD / "tracking"
    maintenance = folder / "celery_maintenance"
    maintenance.mkdir(parents=True, exist_ok=True)
    (maintenance / "__init__.py").touch()
    for link, target in (
        (folder / "celery_tracking", ROLE / "celery_tracking"),
        (maintenance / "engine", CHECKOUT / "plugins" / "module_utils" / "_engine"),
    ):
        with contextlib.suppress(FileExistsError):
            link.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
    return folder
