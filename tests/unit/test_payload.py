# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine inside a zip file, as Ansible sends it to a host."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

from support.running.collection import CHECKOUT

ENGINE = CHECKOUT / "plugins" / "module_utils" / "_engine"
_COUNT = """
import collections, json, sys

compiled = collections.Counter()
sys.addaudithook(lambda event, arguments: compiled.update([str(arguments[1])]) if event == "compile" else None)
sys.path.insert(0, sys.argv[1])
import engine.batches
from engine import cli

print(json.dumps([engine.batches.__file__, cli.__file__, compiled]))
"""


def test_each_file_is_compiled_once(tmp_path: Path) -> None:
    payload = tmp_path / "payload.zip"
    with zipfile.ZipFile(payload, "w") as archive:
        for file in ENGINE.rglob("*.py"):
            archive.write(file, Path("engine", file.relative_to(ENGINE)))
    run = subprocess.run([sys.executable, "-c", _COUNT, str(payload)], capture_output=True, text=True, check=True)
    module, package, compiled = json.loads(run.stdout)
    assert (module, package) == (f"{payload}/engine/batches.py", f"{payload}/engine/cli/__init__.py")
    prefix = f"{payload}/engine/"
    times = {name[len(prefix) :]: number for name, number in compiled.items() if name.startswith(prefix)}
    # Python's own importer brings these two, which is why the other is there.
    assert {times.pop("__init__.py"), times.pop("payload.py")} == {2}
    assert len(times) > 10
    assert set(times.values()) == {1}
