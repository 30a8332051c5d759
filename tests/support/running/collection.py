# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout under the name by which Ansible and Python import a collection."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
BUILD = CHECKOUT / ".build"
COLLECTIONS = BUILD / "collections"


def link_checkout() -> Path:
    """Make `.build/collections/ansible_collections/fleetops/celery` if it is missing; returns the folder to search."""
    link = COLLECTIONS / "ansible_collections" / "fleetops" / "celery"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        # Another test process may be making it at this moment, and a moved checkout leaves a broken link behind.
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        with contextlib.suppress(FileExistsError):
            link.symlink_to(os.path.relpath(CHECKOUT, link.parent), target_is_directory=True)
    return COLLECTIONS


def clean_environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Ours without the person's own settings of Ansible, Celery and Django; `extra` is laid over it."""
    foreign = ("ANSIBLE_", "CELERY_", "DJANGO_", "PYTHONPATH", "PGTZ")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, **(extra or {})}
