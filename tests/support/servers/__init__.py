# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Database servers on loopback, started for one test session or one demo and thrown away at its end."""

from __future__ import annotations

from .base import Database, DatabaseServer
from .mariadb import MariaDB
from .postgresql import PostgreSQL
from .sqlite import SQLite

__all__ = ["Database", "DatabaseServer", "MariaDB", "PostgreSQL", "SQLite"]
