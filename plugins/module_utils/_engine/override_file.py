# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of a Compose override file that holds several parts, each of which can be taken back alone.

Below the first line it is JSON, which is YAML as well, so that no host needs a library to read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .errors import UsageError

_MARK = "# Written by the Ansible collection fleetops.celery, which overwrites it. Other changes belong elsewhere."
#: What begins with x- Compose passes over.
_PARTS = "x-fleetops-celery"

Services = Mapping[str, Any]


def read_parts(text: str) -> dict[str, Services] | None:
    """Return the services of each part by the part's name; ``None`` where the file is somebody else's."""
    first, _end, rest = text.partition("\n")
    if first.rstrip() != _MARK:
        return None
    try:
        parts: dict[str, Services] = json.loads(rest)[_PARTS]
    except (ValueError, KeyError, TypeError):
        return None
    return parts


def write_parts(parts: Mapping[str, Services]) -> str:
    """Return the file's text for *parts*.

    :raises UsageError: where two of them want something different of one service
    """
    services: dict[str, Any] = {}
    for name in sorted(parts):
        services = _merged(services, parts[name], f"part {name}: services")
    document = {"services": services, _PARTS: dict(parts)}
    return f"{_MARK}\n{json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)}\n"


def _merged(first: Any, second: Any, where: str) -> Any:
    if isinstance(first, dict) and isinstance(second, dict):
        added = {
            key: _merged(first[key], value, f"{where}: {key}") if key in first else value
            for key, value in second.items()
        }
        return {**first, **added}
    if first == second:
        return first
    if where.endswith(": environment: PYTHONPATH"):
        return ":".join(dict.fromkeys([*first.split(":"), *second.split(":")]))
    # Order is a command's meaning; that of volumes, networks and the like means nothing.
    if isinstance(first, list) and isinstance(second, list) and not where.endswith((": command", ": entrypoint")):
        return [*first, *(one for one in second if one not in first)]
    raise UsageError(f"{where}: another part of this collection has already set it to something else.")
