# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A count of a table's rows, as plain data and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .sizes import size_document

if TYPE_CHECKING:
    from .census import Census


def census_document(census: Census) -> dict[str, Any]:
    size = size_document(census.size)
    return {
        **size,
        "total": census.total,
        "estimates": [*(["total"] if census.estimated else []), *size["estimates"]],
        "by_status": [{"status": status, "count": count} for status, count in census.by_status.items()],
    }


def census_diff(table: str, before: Census, after: Census) -> dict[str, Any]:
    """Return the table before and after, as ``--diff`` shows it."""
    return {
        "before_header": table,
        "after_header": table,
        "before": _census_text(before),
        "after": _census_text(after),
    }


def census_total(census: Census) -> str:
    return f"{'about ' if census.estimated else ''}{census.total:,}"


def _census_text(census: Census) -> str:
    rows = [("total", census.total), *sorted(census.by_status.items())]
    return "".join(f"{label}: {count:,}\n" for label, count in rows)
