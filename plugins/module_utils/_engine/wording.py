# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers as people write them, for the lines of every report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a module loads what it returns, not what other modules do
    from .sizes import Size

Lines = list[str]


def format_bytes(count: int) -> str:
    """Return *count* bytes as people write them: ``256 MB`` (1 MB = 1,048,576 bytes)."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1024 or unit == "TB":
            break
        size /= 1024
    return f"{size:,.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:,.1f} {unit}"


def size_words(size: Size) -> str:
    """Return the size of a table with its indexes."""
    about = "about " if "size_bytes" in size.estimates else ""
    return about + format_bytes(size.size_bytes)


def record_words(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"
