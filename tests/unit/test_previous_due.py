# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a crontab line was last due."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.crontab import previous_due

NOW = datetime(2026, 11, 24, 12, 30, 30, tzinfo=timezone.utc)  # a Tuesday


@pytest.mark.parametrize(
    ("line", "zone", "due"),
    [
        ("* * * * *", "UTC", "2026-11-24 12:30"),
        ("*/15 * * * *", "UTC", "2026-11-24 12:30"),
        ("0 3 * * *", "UTC", "2026-11-24 03:00"),
        ("0 13 * * *", "UTC", "2026-11-23 13:00"),
        ("0 3 * * *", "America/New_York", "2026-11-24 08:00"),
        ("0 3 * * mon", "UTC", "2026-11-23 03:00"),
        ("0 3 * * sat,sun", "UTC", "2026-11-22 03:00"),
        ("0 3 1 * *", "UTC", "2026-11-01 03:00"),
        ("0 3 * 2 *", "UTC", "2026-02-28 03:00"),
        ("30 22-2 * * *", "UTC", "2026-11-24 02:30"),
        ("0 3 31 2 *", "UTC", None),
        ("0 3 * * *", "Mars/Olympus", None),
        ("0 3 * * *", "../UTC", None),
        ("0 3 * * *", "America", None),
    ],
)
def test_previous_due(line: str, zone: str, due: str | None) -> None:
    found = previous_due(line, zone, NOW)
    assert (found and f"{found:%Y-%m-%d %H:%M}") == due
