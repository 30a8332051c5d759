# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python runs this at its start, from a folder on PYTHONPATH: with Celery, the recorder is imported too.

Where Celery is not used, nothing is imported. A sitecustomize that the image has of its own runs as before.
"""

from __future__ import annotations

import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

# Every application that has tasks or sends some imports it.
_TRIGGER = "celery.app.task"
_HERE = os.path.dirname(os.path.abspath(__file__))


class _ThenTracking(Loader):
    """Loads a module as its own loader does, and the recorder after it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        try:
            __import__("celery_tracking")
        except Exception as error:
            # The application comes first.
            print(f"celery_tracking cannot be imported, tasks are not tracked: {error!r}", file=sys.stderr)


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _TRIGGER:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenTracking(spec.loader)
        return spec


def _run_the_next() -> None:
    """Run the sitecustomize that this one hides."""
    others = [path for path in sys.path if os.path.abspath(path or os.curdir) != _HERE]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if os.environ.get("CELERY_TRACKING", "").strip().lower() != "off":
    sys.meta_path.insert(0, _Finder())
_run_the_next()
