# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a process of a Django application that is set up: calls `delete_expired`, and tells how that went."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import Any

from support.applications import celery_app


def main() -> None:
    order = json.load(sys.stdin)
    # Django's models can be imported only once it is set up.
    assert celery_app.WITH_DJANGO
    from django.db.models.signals import post_delete  # type: ignore[import-untyped]
    from django_celery_results.models import TaskResult  # type: ignore[import-untyped]

    heard = 0

    def listen(**_signal: Any) -> None:
        nonlocal heard
        heard += 1

    if order["listening"]:
        post_delete.connect(listen, sender=TaskResult)
    before = TaskResult.objects.count()
    TaskResult.objects.delete_expired(timedelta(days=9999))
    began = time.perf_counter()
    TaskResult.objects.delete_expired(timedelta(days=order["days"]))
    seconds = time.perf_counter() - began
    deleted = before - TaskResult.objects.count()
    if order["listening"] and heard != deleted:
        raise SystemExit(f"the receiver heard of {heard} of {deleted} rows")
    print(json.dumps({"seconds": seconds, "deleted": deleted, "longest": seconds}))


if __name__ == "__main__":
    main()
