# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads requests from standard input, a line of JSON each, and runs each module in a fork of this process.

What takes a module's time, the imports, is done once.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import sys
import tempfile
import traceback
from typing import Any, BinaryIO

import sqlalchemy

PACKAGE = "ansible_collections.fleetops.celery.plugins"


def _run(request: dict[str, Any], stdout: BinaryIO, stderr: BinaryIO) -> None:
    """In the fork: run the module and end."""
    from ansible.module_utils.testing import patch_module_args

    os.dup2(stdout.fileno(), 1)
    os.dup2(stderr.fileno(), 2)
    status = 1
    try:
        with patch_module_args(request["args"]):
            runpy.run_module(f"{PACKAGE}.modules.{request['name']}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _load() -> None:
    """Load what the forks have in common: the engine, each file of it compiled once, and the usual drivers."""
    importlib.import_module(f"{PACKAGE}.module_utils._module")
    engine = importlib.import_module(f"{PACKAGE}.module_utils._engine")
    for found in pkgutil.iter_modules(engine.__path__):
        importlib.import_module(f"{engine.__name__}.{found.name}")
    for url in ("postgresql+psycopg2://", "mysql+pymysql://", "sqlite://"):
        sqlalchemy.create_engine(url)
    gc.freeze()


def main() -> None:
    sys.path.pop(0)
    _load()
    for line in sys.stdin:
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            child = os.fork()
            if child == 0:
                _run(json.loads(line), stdout, stderr)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            texts = []
            for stream in (stdout, stderr):
                stream.seek(0)
                texts.append(stream.read().decode(errors="replace"))
        print(json.dumps([status, *texts]), flush=True)


if __name__ == "__main__":
    main()
