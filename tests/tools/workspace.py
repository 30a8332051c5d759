# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checkout, and the places where Ansible finds it under its collection name."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
LOGS = BUILD / "logs"
HOME = BUILD / "home"
COLLECTIONS = BUILD / "collections"
NAMESPACE, NAME = "fleetops", "celery"
FULL_NAME = f"{NAMESPACE}.{NAME}"


def _place(collections: Path) -> Path:
    return collections / "ansible_collections" / NAMESPACE / NAME


def link() -> Path:
    """A collections folder that holds the checkout itself, for pytest, mypy and playbooks."""
    place = _place(COLLECTIONS)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.resolve() != ROOT:
        place.unlink(missing_ok=True)
        place.symlink_to(os.path.relpath(ROOT, place.parent))
    return COLLECTIONS


def files() -> list[Path]:
    """What a commit of everything here would hold, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [Path(name) for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file()]


def _clear(place: Path, wanted: set[Path]) -> None:
    """Removes what the checkout has no more; what ansible-test keeps for the next time stays."""
    kept = (Path(".git"), Path("tests/output"))
    for walked in os.walk(place):
        for name in walked[2]:
            relative = (Path(walked[0]) / name).relative_to(place)
            if relative not in wanted and not any(part in kept for part in relative.parents):
                (place / relative).unlink()


def copy(purpose: str) -> Path:
    """A copy of the checkout as it is now, as a collection and a repository of its own.

    Tools that walk the tree must not meet virtual environments or, through the link, the tree again; and they
    ask git for the files, which inside an ignored folder of the checkout would be none.
    """
    place = _place(BUILD / purpose)
    wanted = files()
    _clear(place, set(wanted))
    for name in wanted:
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    for arguments in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *arguments], cwd=place, check=True, capture_output=True)
    return place
