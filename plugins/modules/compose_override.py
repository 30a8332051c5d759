# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_override
short_description: Add services and settings to a Compose project by its override file
version_added: 1.0.0
description:
  - Writes the override file that Compose reads beside a project's own Compose file, which stays as it is.
  - Several parts of this collection share the file, and each of them can be taken back alone. With the last one the file goes.
  - An override file that somebody else wrote is never touched, and neither is a project that is started with chosen files, as Compose would
    not read an override file there.
  - Compose is asked first whether it accepts the result. Where it does not, nothing is changed.
  - Containers are not restarted; C(docker compose up --detach) does that.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes.host
options:
  project_dir:
    description: The folder of the project's Compose file.
    type: path
    required: true
  name:
    description: The part of this collection that the services belong to.
    type: str
    required: true
    choices: [maintenance, tracking]
  services:
    description:
      - What to add, as below C(services) in a Compose file. A service that the project does not have needs an C(image).
      - Compose fills in variables here too, so a dollar sign is written V($$).
      - Needed unless O(state=absent).
    type: dict
  labels:
    description:
      - Labels for each of the services. A change of one makes Compose recreate the containers, as after a change of a file that they mount.
    type: dict
    default: {}
  docker_cli:
    description: The C(docker) command, where it is not in the search path.
    type: path
  state:
    description: Whether the part is there.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: fleetops.celery.deployment_info
"""

EXAMPLES = r"""
- name: Add a service to a project
  fleetops.celery.compose_override:
    project_dir: /srv/shop
    name: maintenance
    services:
      celery_maintenance:
        image: shop-backend
        command: [celery, -A, celery_maintenance.app, worker, -B]

- name: Start it
  ansible.builtin.command:
    argv: [docker, compose, up, --detach, celery_maintenance]
    chdir: /srv/shop
  changed_when: true

- name: Take it back
  fleetops.celery.compose_override:
    project_dir: /srv/shop
    name: maintenance
    state: absent
"""

RETURN = r"""
path:
  description: The override file.
  returned: success
  type: str
  sample: /srv/shop/compose.override.yml
parts:
  description: The parts that it holds afterwards, or in check mode would hold. Without any there is no file.
  returned: success
  type: list
  elements: str
  sample: [maintenance]
services:
  description: The services that this part has, or until now had, something to say about.
  returned: success
  type: list
  elements: str
  sample: [celery_maintenance]
before:
  description: What this part said of them until now, for O(services) to put it back.
  returned: success
  type: dict
  sample: {"celery_maintenance": {"image": "shop-backend", "command": ["celery", "-A", "celery_maintenance.app", "worker", "-B"]}}
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fleetops.celery.plugins.module_utils._engine.compose_files import ProjectFiles
from ansible_collections.fleetops.celery.plugins.module_utils._engine.docker import Docker
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import CleanupError, UsageError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.override_file import read_parts, write_parts


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    files = ProjectFiles(Docker(params["docker_cli"]), params["project_dir"])
    before = _read(files.override)
    parts = read_parts(before) if before else {}
    if parts is None and params["state"] == "absent":
        # Nothing of ours is in there.
        return _result(files.override, before, before, {}, {}, {}, changed=False)
    if parts is None:
        raise UsageError(
            f"{files.override} was written by somebody else. Move what it says into {files.base.name}, and remove it."
        )
    services = former = parts.pop(params["name"], {})
    if params["state"] == "present":
        files.check()
        services = params["services"]
        files.check_services(services)
        if params["labels"]:
            services = {name: {**one, "labels": params["labels"]} for name, one in services.items()}
        parts[params["name"]] = services
    after = write_parts(parts) if parts else ""
    changed = before != after
    if changed and after:
        draft = _draft(module, after)
        files.try_with(draft)
        if not module.check_mode:
            module.atomic_move(str(draft), str(files.override))
    elif changed and not module.check_mode:
        files.override.unlink()
    if after and not module.check_mode:
        # Whoever may read the project's own file, and thus run Compose there, has to read this one too.
        own = files.base.stat()
        changed |= module.set_mode_if_different(str(files.override), own.st_mode & 0o777, False)
        changed |= module.set_owner_if_different(str(files.override), own.st_uid, False)
        changed |= module.set_group_if_different(str(files.override), own.st_gid, False)
    return _result(files.override, before, after, parts, services, former, changed=changed)


def _result(
    path: Path,
    before: str,
    after: str,
    parts: Mapping[str, Any],
    services: Mapping[str, Any],
    former: Mapping[str, Any],
    *,
    changed: bool,
) -> dict[str, Any]:
    return {
        "changed": changed,
        "path": str(path),
        "parts": sorted(parts),
        "services": sorted(services),
        "before": former,
        "diff": {"before_header": str(path), "before": before, "after_header": str(path), "after": after},
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None


def _draft(module: AnsibleModule, text: str) -> Path:
    path = Path(module.tmpdir, f"compose-override-{os.getpid()}.yml")
    path.write_text(text, encoding="utf-8")
    return path


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project_dir": {"type": "path", "required": True},
            "name": {"type": "str", "required": True, "choices": ["maintenance", "tracking"]},
            "services": {"type": "dict"},
            "labels": {"type": "dict", "default": {}},
            "docker_cli": {"type": "path"},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        },
        required_if=[("state", "present", ["services"])],
        supports_check_mode=True,
    )
    try:
        result = work(module)
    except CleanupError as error:
        module.fail_json(msg=str(error))
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
