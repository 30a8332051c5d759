# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cleanup_policy
short_description: Check a policy of the command celery-cleanup
version_added: 1.0.0
description:
  - Returns the policy as it is, once it is known to be right. Fails, naming the key, where one is unknown or of a wrong type.
author:
  - fleetops.celery contributors (@fleetops)
options:
  _input:
    description:
      - Where the database is, in C(database_url) or C(compose), and the variables of the role P(fleetops.celery.cleanup#role) without their
        prefix.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Write a policy
  ansible.builtin.copy:
    content: "{{ {'compose': {'project_name': 'shop'}, 'limits': {'time_budget': '30m'}} | fleetops.celery.cleanup_policy | to_json }}"
    dest: /etc/shop-cleanup.json
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The policy.
  type: dict
  sample: {"compose": {"project_name": "shop"}, "limits": {"time_budget": "30m"}}
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.policy import parse_policy


def cleanup_policy(document: object) -> object:
    try:
        parse_policy(document)
    except UsageError as error:
        raise AnsibleFilterError(str(error)) from None
    return document


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"cleanup_policy": cleanup_policy}
