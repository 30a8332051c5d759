# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ages of the demonstration's rows, in seconds.

Every limit of the default rules has a quiet hour around it. Else a row would come of age between two runs of the
playbook, and the second run, which is to change nothing, would rightly delete it.
"""

from __future__ import annotations

from support.tables import Ago

HOUR = 3_600.0
DAY = 24 * HOUR
QUIET = 0.5 * HOUR


def between(oldest: float, newest: float, plus: float = 0.0) -> Ago:
    """Times from `oldest` to `newest`, no nearer to either than half of the quiet hour."""
    return Ago(oldest - QUIET, newest + QUIET, plus)


def last(oldest: float, plus: float = 0.0) -> Ago:
    """Times from `oldest` until a minute ago."""
    return Ago(oldest - QUIET, 60, plus)
