# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which process runs a task, from the result of its STARTED row.

Celery stores there ``{"pid": 17, "hostname": "celery@3f2a9c0b1d4e"}``. In a Compose project the name
behind the ``@`` is by default the container's. Source: ``celery/app/trace.py``, 5.4 to 5.7.

It is JSON or a pickle: as text, a pickle in base64, in the tables of django-celery-results; as bytes
in Celery's own, which up to 5.6 pickles whatever the serializer is.
"""

from __future__ import annotations

import base64
import json
import pickletools
from dataclasses import dataclass
from typing import Any

_PICKLE_MARK = b"\x80"  # how every pickle since protocol 2 begins
_PLAIN = {"SHORT_BINUNICODE", "BINUNICODE", "BININT", "BININT1", "BININT2"}
_SILENT = {"PROTO", "FRAME", "MEMOIZE", "BINPUT"}  # without effect where nothing is taken out of the memo
_LONGEST = 4096  # bytes; the names of a process and a host are far shorter


@dataclass(frozen=True)
class Owner:
    """The process that a row names."""

    pid: int
    host: str


def read_owner(result: Any) -> Owner | None:
    """Return the process that the *result* of a STARTED row names; ``None`` where it names none."""
    try:
        document = _document(result)
        pid, name = document["pid"], document["hostname"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if not isinstance(pid, int) or not isinstance(name, str):
        return None
    return Owner(pid, name.rpartition("@")[2])


def _document(result: Any) -> Any:
    if len(result) > _LONGEST:
        raise ValueError("It is longer than what Celery stores when a task starts.")
    if isinstance(result, str) and not result.startswith("{"):
        result = base64.b64decode(result, validate=True)
    if isinstance(result, bytes) and result.startswith(_PICKLE_MARK):
        return _flat_dictionary(result)
    return json.loads(result)


def _flat_dictionary(pickled: bytes) -> dict[Any, Any]:
    """Return the dictionary of texts and whole numbers that *pickled* is.

    To unpickle could run code of whoever wrote it. So the pickle's instructions are listed, not followed,
    and only those are taken that such a dictionary consists of.

    :raises ValueError: when it is anything else
    """
    operations = [one for one in pickletools.genops(pickled) if one[0].name not in _SILENT]
    names = [one[0].name for one in operations]
    between = operations[2:-2]
    plain = all(one[0].name in _PLAIN for one in between)
    if not plain or len(between) % 2 or names[:2] + names[-2:] != ["EMPTY_DICT", "MARK", "SETITEMS", "STOP"]:
        raise ValueError("It is not a flat dictionary.")
    items = [one[1] for one in between]
    return dict(zip(items[::2], items[1::2]))
