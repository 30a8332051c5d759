# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recorder's settings, from the environment, which a Compose file can set without touching the application.

=================================== ==================================================================================
``CELERY_TRACKING``                 ``all`` tasks (default), only ``critical`` ones, or ``off``
``CELERY_TRACKING_DATABASE_URL``    where to write, as a SQLAlchemy URL
``CELERY_TRACKING_DATABASE_FILE``   a file with that URL, or a policy that has it, where the one above is not set
``CELERY_TRACKING_TASKS``           names or patterns (``*``) of critical tasks, separated by commas
``CELERY_TRACKING_ARGUMENTS``       ``off`` leaves out arguments and results
``CELERY_TRACKING_QUEUE_INTERVAL``  seconds between two looks at the queues' lengths; 0 for none
``CELERY_TRACKING_BUFFER_RECORDS``  how many records wait at most while the database is away
``CELERY_TRACKING_BUFFER_BYTES``    how many bytes they take at most
=================================== ==================================================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "CELERY_TRACKING"
MODES = ("all", "critical", "off")


class SettingsError(Exception):
    """What is wrong with the environment, in words; never with a value that may be secret."""


@dataclass(frozen=True)
class Settings:
    mode: str
    patterns: tuple[str, ...]
    with_arguments: bool
    queue_interval: float
    buffer_records: int
    buffer_bytes: int

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """
        :raises SettingsError: for a value that is none
        """
        return cls(
            mode=_choice(environment, PREFIX, MODES),
            patterns=tuple(filter(None, (one.strip() for one in environment.get(f"{PREFIX}_TASKS", "").split(",")))),
            with_arguments=_choice(environment, f"{PREFIX}_ARGUMENTS", ("on", "off")) == "on",
            queue_interval=_number(environment, f"{PREFIX}_QUEUE_INTERVAL", 60.0, 0.0),
            buffer_records=int(_number(environment, f"{PREFIX}_BUFFER_RECORDS", 100_000, 1)),
            buffer_bytes=int(_number(environment, f"{PREFIX}_BUFFER_BYTES", 64_000_000, 1)),
        )


def is_off() -> bool:
    return os.environ.get(PREFIX, "").strip().lower() == "off"


def database_url() -> str:
    """Read the URL when it is needed, and again after each failure: it may have come meanwhile.

    :raises SettingsError: when there is none
    """
    if url := os.environ.get(f"{PREFIX}_DATABASE_URL", "").strip():
        return url
    path = os.environ.get(f"{PREFIX}_DATABASE_FILE", "").strip()
    if not path:
        raise SettingsError(f"neither {PREFIX}_DATABASE_URL nor {PREFIX}_DATABASE_FILE is set")
    try:
        url = Path(path).read_text(encoding="utf-8").strip()
        if url.startswith("{"):
            url = str(json.loads(url).get("database_url") or "")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{PREFIX}_DATABASE_FILE cannot be read: {error}") from None
    if not url:
        raise SettingsError(f"{PREFIX}_DATABASE_FILE {path} has no URL")
    return url


def _choice(environment: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = environment.get(name, "").strip().lower() or choices[0]
    if value not in choices:
        raise SettingsError(f"{name} is {value!r}; use {', '.join(choices[:-1])} or {choices[-1]}")
    return value


def _number(environment: Mapping[str, str], name: str, default: float, least: float) -> float:
    text = environment.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = least - 1
    if not least <= value < float("inf"):
        raise SettingsError(f"{name} is {text!r}; use a number from {least:g}")
    return value
