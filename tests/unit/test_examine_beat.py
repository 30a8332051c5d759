# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found in a schedule, by what beat does with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.application import Configuration
from ansible_collections.fleetops.celery.plugins.module_utils._engine.beat import PeriodicTask
from ansible_collections.fleetops.celery.plugins.module_utils._engine.examine_beat import (
    examine_own_schedule,
    examine_schedule,
)

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=timezone.utc)
BUILTIN = "celery.backend_cleanup"


def application(**told: Any) -> Configuration:
    usual = {
        "result_expires": None, "result_backend": "db+postgresql", "expires_by_itself": False,
        "beat_scheduler": "celery.beat:PersistentScheduler", "timezone": "UTC", "tasks": ["report"],
    }  # fmt: skip
    return Configuration(**{**usual, **told})


def task(crontab: str = "0 3 * * *", zone: str = "UTC", **dates: Any) -> PeriodicTask:
    long_ago = {"last_run_at": NOW - timedelta(days=9), "date_changed": NOW - timedelta(days=9)}
    return PeriodicTask("nightly", "report", True, crontab, zone, [], {}, None, None, None, "", **{**long_ago, **dates})


def _codes(*tasks: PeriodicTask, **told: Any) -> list[str]:
    found = examine_schedule({one.name: one for one in tasks}, NOW, application(**told))
    return [one.code for one in found]


def test_an_overdue_task_is_found_where_its_time_can_be_told() -> None:
    assert _codes(task()) == ["beat_not_scheduling"]
    # This host may lack a zone that the application has, and Celery takes what means nothing to others.
    assert _codes(task(zone="Mars/Olympus")) == []
    assert _codes(task("0 1-5-7 * * *")) == []


@pytest.mark.parametrize(("days", "late"), [(30, False), (0, False), (-1, True)])
def test_a_task_is_not_overdue_before_its_start(days: int, late: bool) -> None:
    started = task(start_time=NOW + timedelta(days=days))
    assert _codes(started) == (["beat_not_scheduling"] if late else [])


@pytest.mark.parametrize(
    ("version", "crontab", "found"),
    [
        ("2.8.0", "0 3 * * *", True),
        ("2.8.0", "0 04 * * *", False),
        ("2.8.0", "0 * * * *", False),
        ("2.8.0", "0 1,3 * * *", False),
        ("2.8.1", "0 3 * * *", False),
    ],
)
def test_a_version_that_leaves_tasks_out_is_found(version: str, crontab: str, found: bool) -> None:
    done = task(crontab, last_run_at=NOW)
    assert _codes(done, versions={"django-celery-beat": version}) == (["beat_misses_tasks"] if found else [])


def test_an_entry_of_the_applications_own_brings_the_built_in_task_back_too() -> None:
    assert _codes() == []
    (found,) = examine_schedule({}, NOW, application(beat_schedule={BUILTIN: BUILTIN}))
    assert (found.code, "has celery.backend_cleanup in beat_schedule" in found.message) == (
        "backend_cleanup_returns",
        True,
    )
    (found,) = examine_schedule({}, NOW, application(result_expires=86400.0))
    assert "sets result_expires" in found.message


@pytest.mark.parametrize(
    ("told", "codes"),
    [
        ({}, []),
        ({"beat_schedule": {"nightly": "report"}}, []),
        ({"beat_schedule": {"nightly": "renamed"}}, ["periodic_task_unknown"]),
        ({"beat_schedule": {"ours": "celery_maintenance.run_policy"}}, []),
        ({"result_expires": 86400.0}, ["backend_cleanup_returns"]),
        ({"result_expires": 86400.0, "result_backend": ""}, []),
        ({"result_expires": 86400.0, "result_backend": "disabled"}, []),
        ({"result_expires": 86400.0, "result_backend": "redis", "expires_by_itself": True}, []),
        ({"beat_schedule": {BUILTIN: BUILTIN}, "tasks": [BUILTIN]}, ["backend_cleanup_returns"]),
    ],
)
def test_a_schedule_that_beat_keeps_in_a_file(told: dict[str, Any], codes: list[str]) -> None:
    assert [one.code for one in examine_own_schedule(application(**told))] == codes


@pytest.mark.parametrize(
    ("enabled", "expires", "words"),
    [
        (True, 86400.0, None),
        (True, None, "the application sets no result_expires"),
        (False, 86400.0, "it is disabled at 0 4 * * * (UTC)"),
        (None, 86400.0, "it is absent"),
    ],
)
def test_a_built_in_task_that_is_wanted_is_found_where_it_deletes_nothing(
    enabled: bool | None, expires: float | None, words: str | None
) -> None:
    rows = {} if enabled is None else {BUILTIN: replace(task("0 4 * * *", last_run_at=NOW), enabled=enabled)}
    known = application(result_expires=expires)
    found = list(examine_schedule(rows, NOW, known, wanted=True))
    assert [one.code for one in found] == (["backend_cleanup_idle"] if words else [])
    assert all(one.message == f"{BUILTIN} is wanted, and deletes nothing: {words}." for one in found)
    if enabled:
        assert [one.code for one in examine_schedule(rows, NOW, known)] == ["backend_cleanup_enabled"]


@pytest.mark.parametrize(
    ("told", "codes"),
    [
        ({"result_expires": 86400.0}, []),
        ({}, ["backend_cleanup_idle"]),
        ({"result_backend": "redis", "expires_by_itself": True}, []),
    ],
)
def test_one_that_is_wanted_needs_no_row_where_beat_keeps_its_schedule_in_a_file(
    told: dict[str, Any], codes: list[str]
) -> None:
    assert [one.code for one in examine_own_schedule(application(**told), wanted=True)] == codes
