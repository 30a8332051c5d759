# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_package
short_description: Put the maintenance package of this collection on a host
version_added: 1.0.0
description:
  - Makes one file from the installed collection. Run as a program it is the command C(celery-cleanup); on Python's path, Celery imports
    C(celery_maintenance) and C(celery_tracking) from it.
  - The package is made on the controller, so the host needs no network. The same collection gives the same file to the byte, unless O(libraries)
    or O(python) differ.
  - A file that is no such package is never overwritten or removed.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes.host
options:
  path:
    description: Where the file goes. Folders that are missing are made.
    type: path
    required: true
  python:
    description:
      - The interpreter that runs it, an absolute path without spaces.
      - The one that runs this module, where not given.
    type: path
  libraries:
    description:
      - Add SQLAlchemy and typing_extensions, without their compiled parts, for applications that lack them. Where an application has its own, they
        stay unused.
      - They come from the interpreter that runs this module, or else from where the role P(fleetops.celery.prerequisites#role) puts them.
    type: bool
    default: false
  package:
    description: What the controller has sent, on the host. Leave it alone; it is filled in where the task runs.
    type: path
  state:
    description: Whether the file is there.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Put the command on a host
  fleetops.celery.maintenance_package:
    path: /opt/fleetops-celery/bin/celery-cleanup
    python: /opt/fleetops-celery/venv/bin/python

- name: Put the package beside an application that has no SQLAlchemy
  fleetops.celery.maintenance_package:
    path: /srv/shop/maintenance.pyz
    libraries: true

- name: Remove it
  fleetops.celery.maintenance_package:
    path: /opt/fleetops-celery/bin/celery-cleanup
    state: absent
"""

RETURN = r"""
path:
  description: Where the file is.
  returned: success
  type: str
  sample: /opt/fleetops-celery/bin/celery-cleanup
version:
  description: The version of the collection that it was made from. V(none) where it is absent.
  returned: success
  type: str
  sample: 1.0.0
sha256:
  description: The file's checksum, or in check mode what it would be. V(none) where it is absent.
  returned: success
  type: str
  sample: 4a44dc15364204a80fe80e9039455cc1608281820fe2b24f1e5233ade6af1dd5
size_bytes:
  description: The file's size, or in check mode what it would be. V(none) where it is absent.
  returned: success
  type: int
  sample: 612034
"""

import hashlib
import os
import re
import sys
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fleetops.celery.plugins.module_utils._module import start_again
from ansible_collections.fleetops.celery.plugins.module_utils._package import executable, pack, unpack, version_of
from ansible_collections.fleetops.celery.plugins.module_utils._package_libraries import library_files

_MODE = 0o755
# Longer ones are cut off by older kernels, and a space would begin an argument.
_INTERPRETER = re.compile(r"/[^\s]{1,100}")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "python": {"type": "path"},
            "libraries": {"type": "bool", "default": False},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
            "package": {"type": "path"},
        },
        supports_check_mode=True,
    )
    path = module.params["path"]
    before = _present(module, path)
    after = _wanted(module) if module.params["state"] == "present" else None
    changed = before != after
    if changed and not module.check_mode:
        _store(module, path, after)
    if after is not None and os.path.exists(path):
        changed = module.set_mode_if_different(path, _MODE, changed)
    result: dict[str, Any] = {"changed": changed, "path": path, **_described(after)}
    if module._diff:
        result["diff"] = {
            "before_header": path,
            "after_header": path,
            "before": _lines(before),
            "after": _lines(after),
        }
    module.exit_json(**result)


def _present(module: AnsibleModule, path: str) -> bytes | None:
    """Return the package that is there; fail where it is something else."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        module.fail_json(msg=f"{path} cannot be read: {error.strerror}.")
    if version_of(content) is None:
        module.fail_json(msg=f"{path} is no package of this collection. Give another path, or move that file away.")
    return content


def _wanted(module: AnsibleModule) -> bytes:
    params = module.params
    interpreter = params["python"] or sys.executable
    if not _INTERPRETER.fullmatch(interpreter):
        module.fail_json(
            msg=f"python: {interpreter!r} cannot run a program; give an absolute path of 100 characters at most, without spaces."
        )
    if not params["package"]:
        module.fail_json(
            msg="The package comes from the controller: call fleetops.celery.maintenance_package in a task."
        )
    with open(params["package"], "rb") as file:
        content = file.read()
    if params["libraries"]:
        found = library_files()
        if not found:
            start_again(["sqlalchemy"])
            module.fail_json(
                msg=f"libraries: {sys.executable} has no SQLAlchemy to copy. "
                "The role fleetops.celery.prerequisites installs it."
            )
        content = pack({**unpack(content), **found})
    return executable(content, interpreter)


def _store(module: AnsibleModule, path: str, content: bytes | None) -> None:
    try:
        if content is None:
            os.unlink(path)
            return
        os.makedirs(os.path.dirname(path) or ".", mode=0o755, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=module.tmpdir)
        with open(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        module.fail_json(msg=f"{path} cannot be {'removed' if content is None else 'written'}: {error.strerror}.")
    module.atomic_move(name, path)


def _described(content: bytes | None) -> dict[str, Any]:
    return {
        "version": version_of(content) if content is not None else None,
        "sha256": hashlib.sha256(content).hexdigest() if content is not None else None,
        "size_bytes": len(content) if content is not None else None,
    }


def _lines(content: bytes | None) -> str:
    told = _described(content)
    return "" if content is None else f"version: {told['version']}\nsha256: {told['sha256']}\n"


if __name__ == "__main__":
    main()
