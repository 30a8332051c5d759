# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django_celery_results.models import TaskResult
from redis import Redis


@shared_task
def cleanup_celery_results(days_to_keep: int = 7, remove_revoked: bool = True) -> dict[str, int]:
    before = TaskResult.objects.count()
    unwanted = Q(date_done__lt=timezone.now() - timedelta(days=days_to_keep))
    if remove_revoked:
        unwanted |= Q(status="REVOKED")
    TaskResult.objects.filter(unwanted).delete()
    after = TaskResult.objects.count()
    return {"before": before, "deleted": before - after, "after": after}


@shared_task
def report(number: int) -> int:
    return number * number


@shared_task
def crawl(seconds: float) -> str:
    """Takes its time."""
    time.sleep(seconds)
    return f"crawled for {seconds} s"


@shared_task
def hold(flag: str) -> str:
    """Goes on until the key `flag` is in Redis."""
    flags = Redis.from_url(settings.CELERY_BROKER_URL)
    while not flags.exists(flag):
        time.sleep(0.1)
    return f"saw {flag}"
