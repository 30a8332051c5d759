# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the maintenance package is made of, taken from the installed collection on the controller.

It is **private** to the collection: it can change at any time.
"""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from ansible_collections.fleetops.celery.plugins.module_utils._package import VERSION_FILE, pack, python_files

_COLLECTION = Path(__file__).resolve().parents[2]
#: The folders of the collection, and what they are called in the package.
_FOLDERS = {
    "plugins/module_utils/_engine": "celery_maintenance/engine",
    "roles/beat_schedule/files/celery_maintenance": "celery_maintenance",
    "roles/task_tracking/files/celery_tracking": "celery_tracking",
}
_MAIN = b"""\
import sys

from celery_maintenance.engine.cli.main import main

sys.exit(main())
"""
#: By it Celery's own program finds the command, and imports the tasks, wherever the package is on Python's path.
_ENTRY_POINTS = b"""\
[celery.commands]
maintenance = celery_maintenance.command:maintenance
"""


def build() -> bytes:
    """Return the package, without the line that names its interpreter."""
    version = _version()
    described = f"celery_maintenance-{version}.dist-info"
    files = {
        "__main__.py": _MAIN,
        VERSION_FILE: f"{version}\n".encode(),
        f"{described}/METADATA": f"Metadata-Version: 2.1\nName: celery-maintenance\nVersion: {version}\n".encode(),
        f"{described}/entry_points.txt": _ENTRY_POINTS,
    }
    for folder, name in _FOLDERS.items():
        files.update(python_files(str(_COLLECTION / folder), name))
    return pack(files)


def _version() -> str:
    manifest = _COLLECTION / "MANIFEST.json"
    if manifest.exists():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
    # A checkout has none.
    return str(yaml.safe_load((_COLLECTION / "galaxy.yml").read_text(encoding="utf-8"))["version"])
