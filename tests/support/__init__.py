# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real parts for the tests and the demo: servers, tables made by the packages that own them, rows by real workers.

Nothing here needs pytest; `tests/conftest.py` turns these parts into fixtures and `demo/` uses them as they are.
"""
