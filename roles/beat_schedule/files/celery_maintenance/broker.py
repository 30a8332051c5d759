# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run as a program, this prints how an application reaches its broker. Nothing but its parent reads what it prints.

The application is imported in this process, which ends, and not in the sidecar, which would keep its memory for good.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

_MARK = "celery_maintenance:"
_TIMEOUT = 120  # seconds, for an application that is slow to start
_LOGIN = re.compile(r"://[^@\s]*@")
_KEYS = (
    "broker_url",
    "broker_read_url",
    "broker_write_url",
    "broker_use_ssl",
    "broker_login_method",
    "broker_transport",
    "broker_transport_options",
    "broker_heartbeat",
)


class NoBrokerError(SystemExit):
    """The application did not tell its broker. Python ends with the text, which says why, and without a traceback."""


def read_broker(application: str) -> dict[str, Any]:
    """Return the settings by which *application*, as ``celery -A`` takes it, reaches its broker."""
    command = [sys.executable, "-m", __name__, application]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise NoBrokerError(f"The application {application} did not tell its broker within {_TIMEOUT} s.") from None
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            settings: dict[str, Any] = json.loads(line[len(_MARK) :])
            return settings
    said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    raise NoBrokerError(f"The application {application} did not tell its broker: {_LOGIN.sub('://***@', said)}")


def main() -> None:
    from celery.app.utils import find_app

    conf = find_app(sys.argv[1]).conf
    settings = {key: conf.get(key) for key in _KEYS}
    print(_MARK + json.dumps({key: value for key, value in settings.items() if value is not None}))


if __name__ == "__main__":
    main()
