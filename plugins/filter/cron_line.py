# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cron_line
short_description: Check a crontab line, and give each host a minute of its own
version_added: 1.0.0
description:
  - Returns the five fields as every cron daemon takes them. Names of days and months become numbers, and a range that passes the end of the
    week or year becomes a list.
  - C(H) in the minute's place stands for a minute that depends on the host's name alone, so that a fleet is not at work all at once. C(H/30)
    is every half an hour, once of it at that minute.
  - Fails, naming the field, where the line does not parse. Days of the week are counted from V(0), Sunday, to V(6), as Celery does.
author:
  - fleetops.celery contributors (@fleetops)
options:
  _input:
    description: The five fields, V(minute hour day-of-month month day-of-week).
    type: str
    required: true
  host:
    description: The host's name.
    type: str
    required: true
  offset:
    description: How many minutes later the host's minute is, for entries that are not to begin together.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Show when this host cleans up
  ansible.builtin.debug:
    msg: "{{ 'H 2 * * mon-fri' | fleetops.celery.cron_line(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: The five fields.
  type: str
  sample: 37 2 * * 1,2,3,4,5
"""

import hashlib
from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.crontab import cron_line as as_cron_takes_it
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError

_MINUTES = 60


def cron_line(line: object, host: str, offset: int = 0) -> str:
    if not isinstance(line, str):
        raise AnsibleFilterError(f"crontab {line!r} is no text of five fields.")
    minute = (int(hashlib.sha256(host.encode()).hexdigest(), 16) + offset) % _MINUTES
    try:
        return as_cron_takes_it(line, minute)
    except UsageError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"cron_line": cron_line}
