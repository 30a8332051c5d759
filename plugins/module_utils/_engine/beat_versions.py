# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a version of django-celery-beat makes of the schedule that others do not."""

from __future__ import annotations

from collections.abc import Mapping

from .beat import PeriodicTask

#: Why :func:`may_be_missed`, in words, and what to do about it.
MISSED = (
    "django-celery-beat 2.8.0 reads its schedule only when it starts and when something in it changes, and then leaves "
    "out tasks of an hour that is more than one away."
)
MISSED_FIX = "Install django-celery-beat 2.8.1 or newer in the application."


def may_be_missed(task: PeriodicTask, versions: Mapping[str, str]) -> bool:
    """Whether beat may never send *task*, though it is enabled.

    Source: ``get_excluded_hours_for_crontab_tasks`` in ``schedulers.py`` of 2.8.0. It looks at plain hours only, and
    never leaves out the fourth, which is that of ``celery.backend_cleanup``.

    :param versions: of the application's packages
    """
    if not task.enabled or task.crontab is None or versions.get("django-celery-beat") != "2.8.0":
        return False
    hour = task.crontab.split()[1]
    return hour.isdigit() and int(hour) != 4
