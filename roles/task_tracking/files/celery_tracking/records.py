# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What travels from a handler to the writer: small tuples of texts and numbers.

They are packed by :mod:`marshal`, the fastest there is, and unpacked by a process of the same interpreter and user.
Every record begins with its kind and its time. A time is in seconds since the epoch.
"""

from __future__ import annotations

import json
import marshal
from typing import Any, Union

Field = Union[str, int, float, None]
Record = tuple[Field, ...]

#: kind, time, task id, name, retries, args, kwargs, queue, exchange, priority, eta, expires, root id, parent id,
#: origin, user
PUBLISHED, STARTED = 1, 2
#: kind, time, task id, name, retries (None: unknown), status, result, error, traceback, seconds that it ran
FINISHED = 3
#: kind, time, task id, name, retries, state, details
PROGRESS = 4
#: kind, time, worker, status, active tasks, processed tasks, when this life of it began; the last two may be unknown
WORKER = 5
#: kind, time, queue, messages
QUEUE = 6
#: kind, time, how many records had to be dropped before they got here
LOST = 7
#: kind, time: nothing comes after it
END = 8

ONLINE, OFFLINE = "ONLINE", "OFFLINE"

MOST_VALUE = 1_024  # characters of an argument list or a result; Celery's own bound for arguments
MOST_ERROR = 4_000
MOST_TRACEBACK = 16_000


def pack(record: Record) -> bytes:
    try:
        return marshal.dumps(record)
    except ValueError:
        # A subclass of str or int, as lazy translations are.
        return marshal.dumps(tuple(_plain(field) for field in record))


def unpack(data: bytes) -> Record:
    record: Record = marshal.loads(data)
    return record


def _plain(field: Any) -> Field:
    if field is None:
        return None
    if isinstance(field, int):
        return int(field)
    return float(field) if isinstance(field, float) else str(field)


def text_of(value: Any) -> str | None:
    """Return *value* as JSON where that is possible and short, else as the beginning of its representation."""
    if value is None:
        return None
    kind = type(value)  # exactly these: a subclass may cost anything
    if kind in (bool, int, float):
        return json.dumps(value)
    if kind is str:
        return json.dumps(value[:MOST_VALUE], ensure_ascii=False)
    # Celery's own, which stops at the bound: a large value must not cost the task the time to walk through it.
    from celery.utils.saferepr import saferepr  # type: ignore[import-untyped]

    representation: str = saferepr(value, MOST_VALUE)
    if len(representation) < MOST_VALUE:
        try:
            return json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):
            pass
    return representation[:MOST_VALUE]
