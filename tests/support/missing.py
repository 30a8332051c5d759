# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is raised when a part that the tests or the demo need can't be had on this machine."""

from __future__ import annotations


class MissingPart(Exception):
    """A server or a library is not installed; the text says which, and how to get it."""
