# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding the database of a running Compose project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def find_database_url(compose: Mapping[str, Any]) -> str:
    """Return the URL of the database of the Compose project that *compose* describes."""
    raise NotImplementedError
