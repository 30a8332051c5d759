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


def build() -> bytes:
    """Return the package, without the line that names its interpreter."""
    files = {"__main__.py": _MAIN, "celery_maintenance/__init__.py": b"", VERSION_FILE: f"{_version()}\n".encode()}
    for folder, name in _FOLDERS.items():
        files.update(python_files(str(_COLLECTION / folder), name))
    return pack(files)


def _version() -> str:
    manifest = _COLLECTION / "MANIFEST.json"
    if manifest.exists():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
    # A checkout has none.
    return str(yaml.safe_load((_COLLECTION / "galaxy.yml").read_text(encoding="utf-8"))["version"])
