# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Importing this package from the zip file that Ansible sends to a host with a module.

To compile what is in it takes a good part of a task's time, and Python's own importer compiles each file twice: once to
tell the file's name, and once to run it (``zipimporter.get_filename``,
https://github.com/python/cpython/blob/3.13/Lib/zipimport.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from zipimport import zipimporter


class _Importer(zipimporter):
    """Tells a file's name without compiling it."""

    def get_filename(self, fullname: str) -> str:
        module = os.path.join(self.archive, self.prefix, fullname.rpartition(".")[2])
        return os.path.join(module, "__init__.py") if self.is_package(fullname) else f"{module}.py"


def compile_once(loader: object, folders: Iterable[str]) -> None:
    """Have what is imported from *folders* compiled once, where *loader* reads a zip file."""
    if isinstance(loader, zipimporter):
        sys.path_importer_cache.update({folder: _Importer(folder) for folder in folders})
