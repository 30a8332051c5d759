# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the application's processes: its Celery app, and with Django the configured Django, from the environment."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery  # type: ignore[import-untyped]
from celery.schedules import crontab  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url

from .. import broker

SETTINGS: dict[str, Any] = json.loads(os.environ["FLEETOPS_APPLICATION"])
WITH_DJANGO = SETTINGS["backend"] == "django-db"
ON_SQLITE = make_url(SETTINGS["database_url"]).get_backend_name() == "sqlite"
DJANGO_ENGINES = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite3"}


def _configure_django() -> None:
    import django  # type: ignore[import-untyped]
    from django.conf import settings  # type: ignore[import-untyped]

    url = make_url(SETTINGS["database_url"])
    kind = url.get_backend_name()
    if DJANGO_ENGINES[kind] == "mysql" and url.get_driver_name() == "pymysql":
        import pymysql

        pymysql.install_as_MySQLdb()
    settings.configure(
        SECRET_KEY="of no use",
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django_celery_results",
            *(["django_celery_beat"] if SETTINGS["beat"] else []),
        ],
        USE_TZ=True,
        TIME_ZONE="UTC",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        DATABASES={
            "default": {
                "ENGINE": f"django.db.backends.{DJANGO_ENGINES[kind]}",
                "NAME": url.database,
                "USER": url.username or "",
                "PASSWORD": url.password or "",
                "HOST": url.host or "",
                "PORT": str(url.port or ""),
                "OPTIONS": {"timeout": 60, "transaction_mode": "IMMEDIATE"} if ON_SQLITE else {},
            }
        },
    )
    django.setup()


if WITH_DJANGO:
    _configure_django()


def _broker() -> dict[str, Any]:
    if SETTINGS["broker"] is None:
        return {"broker_url": "memory://"}
    folder = Path(SETTINGS["broker"])
    for name in ("queue", "control"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    queue, control = str(folder / "queue"), str(folder / "control")
    options = {"data_folder_in": queue, "data_folder_out": queue, "control_folder": control}
    broker.register()
    return {"broker_url": broker.URL, "broker_transport_options": options}


def _schedule() -> dict[str, dict[str, Any]]:
    made = {}
    for name, given in SETTINGS["beat_schedule"].items():
        entry = dict(given)
        minute, hour, day_of_month, month_of_year, day_of_week = entry.pop("crontab").split()
        made[name] = {**entry, "schedule": crontab(minute, hour, day_of_week, day_of_month, month_of_year)}
    return made


app = Celery("shop")
app.conf.update(
    **_broker(),
    result_backend="django-db" if WITH_DJANGO else f"db+{SETTINGS['database_url']}",
    # The processes of a worker wait for each other, as SQLite knows one writer at a time.
    database_engine_options={"connect_args": {"timeout": 60}} if ON_SQLITE else {},
    result_extended=SETTINGS["result_extended"],
    result_expires=SETTINGS["result_expires"],
    beat_schedule=_schedule(),
    result_serializer=SETTINGS["serializer"],
    result_accept_content=["json", "pickle"],
    task_track_started=True,
    worker_hijack_root_logger=False,
    # A chord over Celery's own backend is polled for; a second would be most of the test.
    result_chord_retry_interval=0.2,
)


class OutOfStock(Exception):
    """An application's own exception, which nothing outside the application can import."""


@app.task(name="shop.tasks.add")  # type: ignore[untyped-decorator]
def add(left: int, right: int) -> int:
    return left + right


@app.task(name="shop.tasks.total")  # type: ignore[untyped-decorator]
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="shop.tasks.order")  # type: ignore[untyped-decorator]
def order(article: str) -> None:
    raise OutOfStock(f"no {article} left")


@app.task(name="shop.tasks.hang")  # type: ignore[untyped-decorator]
def hang() -> None:
    time.sleep(3600)
