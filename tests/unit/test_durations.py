# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations as text, and back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.durations import format_duration, parse_duration
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("90s", 90),
        ("15m", 900),
        ("24h", 86400),
        ("7d", 604800),
        ("4w", 2419200),
        (" 1h ", 3600),
        ("007d", 604800),
    ],
)
def test_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text, "older_than") == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        7,
        "d",
        "-7d",
        "+7d",
        "7 d",
        "1.5h",
        "7D",
        "7days",
        "1d12h",
        "1y",
        "7d;",
        None,
        True,
        [],
        "7d\n8d",
        "1e3s",
    ],
)
def test_anything_else_is_refused_by_the_options_name(text: object) -> None:
    with pytest.raises(UsageError, match=r"older_than: .*is not a duration"):
        parse_duration(text, "older_than")


@pytest.mark.parametrize("text", ["5201w", "36501d", "9" * 400 + "s"])
def test_more_than_a_century_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="hundred years"):
        parse_duration(text, "period")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (90, "90s"),
        (3600, "1h"),
        (86400, "24h"),
        (172800, "2d"),
        (604800, "7d"),
        (2419200, "28d"),
        (5400, "90m"),
    ],
)
def test_the_shortest_text(seconds: int, text: str) -> None:
    duration = timedelta(seconds=seconds)
    assert format_duration(duration) == text
    assert parse_duration(text, "") == duration
