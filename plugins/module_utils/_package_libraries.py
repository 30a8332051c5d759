# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The libraries that the maintenance package can bring with it: those of the interpreter that runs this.

It is **private** to the collection: it can change at any time.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

from ._package import Files, python_files

#: Where they are in the package.
_FOLDER = "libraries"


def library_files() -> Files:
    """Return the Python files of SQLAlchemy and of what it needs; none where it is missing.

    SQLAlchemy works without its compiled parts, which serve this version of Python alone.
    """
    found = find_spec("sqlalchemy")
    if found is None or not found.origin:
        return {}
    package = os.path.dirname(found.origin)
    files = {
        name: content
        for name, content in python_files(package, f"{_FOLDER}/sqlalchemy").items()
        if not name.startswith(f"{_FOLDER}/sqlalchemy/testing/")
    }
    extensions = find_spec("typing_extensions")  # needed from SQLAlchemy 2.0 on
    if extensions is not None and extensions.origin:
        with open(extensions.origin, "rb") as file:
            files[f"{_FOLDER}/typing_extensions.py"] = file.read()
    return files
