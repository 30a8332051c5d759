# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of failed tasks that Celery can read.

``AsyncResult.get()`` raises what a failed task's ``result`` describes. A row whose result does not
describe an exception breaks it: with ``null`` it raises ``RuntimeError``, with plain text not even
``.state`` can be read. So each row gets a result in the encoding that it already has, and a row in
any other encoding is left alone.

Source: ``celery/backends/base.py`` (``exception_to_python``), ``celery/backends/database`` and
``django_celery_results/backends/database.py``; tried with Celery 5.4 to 5.7 and
django-celery-results 2.5.1 and 2.6.0. What a row contains is never unpickled here.
"""

from __future__ import annotations

import base64
import json
import pickle
from dataclasses import dataclass
from typing import Any

from .errors import UsageError
from .libraries import sa
from .records import RecordTable

#: The exception that ``get()`` raises for each status that a zombie of Celery's own may be given.
_EXCEPTIONS = {
    "FAILURE": ("billiard.exceptions", "WorkerLostError"),
    "REVOKED": ("celery.exceptions", "TaskRevokedError"),
}
_PICKLE_MARK = b"\x80"  # how every pickle since protocol 2 begins


@dataclass(frozen=True)
class Payload:
    """A result, and the condition that a row's present result is in the same encoding."""

    condition: Any
    values: dict[str, Any]


def payloads(record: RecordTable, status: str, reason: str) -> list[Payload]:
    """Return the results to write, one for each encoding that can be written.

    :param status: what the rows become, upper case
    :raises UsageError: for a status that Celery does not read as a failure
    """
    described = _EXCEPTIONS.get(status)
    if described is None:
        raise UsageError(
            f"set_status {status} cannot be given to a row of {record.name}: Celery reads only "
            f"{' and '.join(_EXCEPTIONS)} as the end of a task that died."
        )
    module, name = described
    document = {"exc_type": name, "exc_message": [reason], "exc_module": module}
    as_json = json.dumps(document)
    as_pickle = pickle.dumps(document, protocol=2)
    if record.profile.result_format == "django":
        return _django(record, as_json, as_pickle)
    return _celery(record, as_json.encode(), as_pickle)


def _django(record: RecordTable, as_json: str, as_pickle: bytes) -> list[Payload]:
    result = record.column("result").name
    kind, encoding = record.column("content_type"), record.column("content_encoding")
    return [
        Payload(
            sa.and_(kind == "application/json", encoding == "utf-8"),
            {result: as_json},
        ),
        Payload(
            sa.and_(kind == "application/x-python-serialize", encoding == "binary"),
            {result: base64.b64encode(as_pickle).decode()},
        ),
    ]


def _celery(record: RecordTable, as_json: bytes, as_pickle: bytes) -> list[Payload]:
    column = record.column("result")
    first = sa.func.substr(column, 1, 1, type_=sa.LargeBinary())
    return [
        # Before 5.7 Celery pickled every result; 5.7 still reads those.
        Payload(sa.or_(column.is_(None), first == _PICKLE_MARK), {column.name: as_pickle}),
        # From 5.7 on the row holds what result_serializer makes.
        Payload(first == b"{", {column.name: as_json}),
    ]
