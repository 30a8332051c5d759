# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command celery-cleanup as hosts have it: one file, run by an interpreter that knows nothing of the collection."""

# mypy looks at the tests apart from the collection.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.fleetops.celery.plugins.plugin_utils._package_contents import build

from .running.collection import clean_environment
from .servers import Database


@dataclass(frozen=True)
class CommandRun:
    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` printed: one document and nothing else."""
        return dict(json.loads(self.out))


@cache
def command_file() -> Path:
    """The command's file, without the line that names an interpreter."""
    folder = tempfile.mkdtemp(prefix="fleet-command-")
    atexit.register(shutil.rmtree, folder)
    path = Path(folder, "celery-cleanup")
    path.write_bytes(build())
    return path


def command_line(*arguments: str, python: str | Path = sys.executable) -> list[str]:
    # -E and -s as its first line has them.
    return [str(python), "-E", "-s", str(command_file()), *arguments]


def command_environment(database: Database | None = None, **variables: str) -> dict[str, str]:
    """The environment of somebody who set nothing but the database's URL."""
    return clean_environment({**({"CELERY_DATABASE_URL": database.url} if database else {}), **variables})


def run_command(
    *arguments: str,
    database: Database | None = None,
    python: str | Path = sys.executable,
    env: Mapping[str, str] | None = None,
    url: str | None = None,
) -> CommandRun:
    """Run it to its end. Whatever it does, it shows no traceback and no password."""
    environment = command_environment(database, **(env or {}), **({"CELERY_DATABASE_URL": url} if url else {}))
    done = subprocess.run(
        command_line(*arguments, python=python),
        env=environment,
        cwd=os.sep,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    if database is not None and database.password:
        assert database.password not in said
    return CommandRun(done.returncode, done.stdout, done.stderr)


def write_policy(path: Path, document: object, mode: int = 0o600) -> str:
    """Write a policy file; returns its name."""
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    path.chmod(mode)
    return str(path)
