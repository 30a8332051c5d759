# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder as a broker, whose messages appear whole: kombu's own may be read while it is written."""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem  # type: ignore[import-untyped]
from kombu.utils.json import dumps  # type: ignore[import-untyped]

URL = "folder://localhost"


class Channel(filesystem.Channel):  # type: ignore[misc]
    def _put(self, queue: Any, payload: Any, **_options: Any) -> None:  # type: ignore[override]
        name = f"{time.monotonic_ns():020}_{uuid.uuid4()}.{queue}.msg"
        path = os.path.join(self.data_folder_out, name)
        with open(f"{path}.part", "w", encoding="utf-8") as file:
            file.write(dumps(payload))  # type: ignore[no-untyped-call]
        os.replace(f"{path}.part", path)


class Transport(filesystem.Transport):  # type: ignore[misc]
    Channel = Channel
    driver_type = "folder"


def register() -> None:
    """Let `URL` be one that Celery knows."""
    TRANSPORT_ALIASES["folder"] = f"{__name__}:Transport"
