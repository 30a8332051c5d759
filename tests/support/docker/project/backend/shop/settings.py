# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that differs from deployment to deployment comes from the environment."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit


def _database() -> dict[str, str]:
    """From DATABASE_URL; its password may be in a file instead."""
    url = urlsplit(os.environ["DATABASE_URL"])
    password = unquote(url.password or "")
    if file := os.environ.get("DATABASE_PASSWORD_FILE"):
        password = Path(file).read_text(encoding="utf-8").strip()
    if url.scheme == "mysql":
        import pymysql

        pymysql.install_as_MySQLdb()
    return {
        "ENGINE": f"django.db.backends.{url.scheme}",
        "NAME": url.path.lstrip("/"),
        "USER": unquote(url.username or ""),
        "PASSWORD": password,
        "HOST": url.hostname or "",
        "PORT": str(url.port or ""),
    }


SECRET_KEY = "of no use"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_celery_results", "django_celery_beat", "apps.scheduler"]
DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

CELERY_BROKER_URL = "redis://redis:6379/0"
CELERY_RESULT_BACKEND = os.environ.get("CELERY_RESULT_BACKEND") or "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_TASK_TRACK_STARTED = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Celery makes its own clean-up task, celery.backend_cleanup, where this is set.
CELERY_RESULT_EXPIRES = int(os.environ.get("CELERY_RESULT_EXPIRES") or 0) or None
