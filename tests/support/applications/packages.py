# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A given version of a package beside the one that is installed, in a folder of its own."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ..missing import MissingPart
from ..running.collection import BUILD


def folder_of(package: str, version: str | None) -> Path | None:
    """A folder for PYTHONPATH with that version in it, filled by pip once; None where the installed one serves."""
    if _installed(package) is not None and version in (None, _installed(package)):
        return None
    if version is None:
        raise MissingPart(f"{package}: pip install {package}")
    folder = BUILD / "packages" / f"{package}-{version}"
    if not folder.exists():
        _install(f"{package}=={version}", folder)
    return folder


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _install(requirement: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Renamed into place only when complete: an interrupted pip, or two at once, leave nothing half done.
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(unfinished)]
    done = subprocess.run([*pip, requirement], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(unfinished)
        raise MissingPart(f"{requirement} can't be installed: {done.stderr.strip()}")
    unfinished.chmod(0o755)
    try:
        unfinished.rename(folder)
    except OSError:
        shutil.rmtree(unfinished)
        if not folder.exists():
            raise
