# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_policy
short_description: Write the policy file that maintenance tasks read
version_added: 1.0.0
description:
  - Writes a policy, with the URL of the database as the containers of a Compose project reach it, into a file that only one user can read.
  - The URL holds a password. It passes from the project into the file, and appears in no result and no diff.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes.host
  - fleetops.celery._project
options:
  path:
    description: The file. Its folder is made for that user alone.
    type: path
    required: true
  policy:
    description: The policy, whose keys are the variables of the role P(fleetops.celery.cleanup#role) without their prefix.
    type: dict
    default: {}
  uid:
    description: The id of the user who reads the file. Needed unless O(state=absent).
    type: int
  gid:
    description: The id of that user's group. Needed unless O(state=absent).
    type: int
  state:
    description: Whether the file is there. With V(absent) its folder goes too, once it is empty.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: fleetops.celery.maintenance_plan
"""

EXAMPLES = r"""
- name: Write the policy for the application's user
  fleetops.celery.maintenance_policy:
    path: /opt/fleetops-celery/deployments/shop/policy/policy.json
    compose:
      project_dir: /srv/shop
    policy:
      high_frequency_tasks: [shop.poll_status]
    uid: 1000
    gid: 1000
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /opt/fleetops-celery/deployments/shop/policy/policy.json
"""

import json
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fleetops.celery.plugins.module_utils._engine.compose import Project
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import CleanupError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.policy import parse_policy
from ansible_collections.fleetops.celery.plugins.module_utils._project import PROJECT

_HIDDEN = "********"


def work(module: AnsibleModule) -> dict[str, Any]:
    path = Path(module.params["path"])
    before = _read(path)
    after = _document(module.params) if module.params["state"] == "present" else None
    changed = before != after
    if changed and not module.check_mode:
        _store(module, path, after)
    if after is not None and (path.exists() or not module.check_mode):
        for place, mode in ((path.parent, 0o700), (path, 0o600)):
            changed = module.set_mode_if_different(str(place), mode, changed)
            changed = module.set_owner_if_different(str(place), module.params["uid"], changed)
            changed = module.set_group_if_different(str(place), module.params["gid"], changed)
    shown = [_shown(before), _shown(after)]
    if changed and before and after and shown[0] == shown[1]:
        shown = [f"{text}# The URL of the database {word}.\n" for text, word in zip(shown, ("was another", "changes"))]
    return {
        "changed": changed,
        "path": str(path),
        "diff": {"before_header": str(path), "before": shown[0], "after_header": str(path), "after": shown[1]},
    }


def _document(params: dict[str, Any]) -> dict[str, Any]:
    url = params["database_url"] or Project(params["compose"]).database_url(inside=True)
    document = {**params["policy"], "database_url": url}
    parse_policy(document)
    return document


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _store(module: AnsibleModule, path: Path, document: dict[str, Any] | None) -> None:
    if document is None:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(module.tmpdir, f"policy-{os.getpid()}.json")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    # Before it takes its place: whoever reads it then must be able to.
    os.chown(draft, module.params["uid"], module.params["gid"])
    module.atomic_move(str(draft), str(path))


def _shown(document: dict[str, Any] | None) -> str:
    if document is None:
        return ""
    hidden = {**document, **({"database_url": _HIDDEN} if "database_url" in document else {})}
    return json.dumps(hidden, indent=2, sort_keys=True) + "\n"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **PROJECT,
            "path": {"type": "path", "required": True},
            "policy": {"type": "dict", "default": {}},
            "uid": {"type": "int"},
            "gid": {"type": "int"},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        },
        required_if=[
            ("state", "present", ["uid", "gid"]),
            ("state", "present", ["compose", "database_url"], True),
        ],
        supports_check_mode=True,
    )
    try:
        result = work(module)
    except CleanupError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{module.params['path']} cannot be written or removed: {error.strerror}.")
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
