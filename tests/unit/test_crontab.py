# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crontab lines, with Celery's own parser as the oracle: what it refuses is refused, in words."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.crontab import (
    check_timezone,
    cron_line,
    format_crontab,
    parse_crontab,
)
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError
from celery.schedules import crontab

FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
NUMBERS = ("0", "1", "4", "6", "7", "12", "13", "23", "24", "31", "32", "59", "60", "007")
WORDS = ("mon", "Monday", "sun", "JAN", "december", "m", "x", "²", "1_0", "-1", "1.5")
RANGES = ("1-5", "5-1", "mon-fri", "jan-mar", "0-59", "1-x", "1-", "-", "*-3", "1-5-7", "1 -5")
STEPS = ("*/2", "*/0", "*/", "/2", "*/x", "*/100", "1-5/2", "5/2", "5-1/3", "1-5/0", "*/2/3", "*/-2")
LISTS = ("1,2", "1,1-3,*/5", "1,", ",", "*,1", "mon,tue", "1;2", "**", "?", "L", "1#2", "")
# Celery reads these without an error and takes a part of them only, or in a way that nobody means.
STRICTER = {"1-5-7", "*/2/3", "1_0"}


def _celery(columns: dict[str, str]) -> tuple[set[int], ...]:
    schedule = crontab(**columns)
    return tuple(getattr(schedule, field) for field in FIELDS)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("text", [*NUMBERS, *WORDS, *RANGES, *STEPS, *LISTS, "*"])
def test_a_field_is_taken_where_celery_takes_it(field: str, text: str) -> None:
    columns = {**dict.fromkeys(FIELDS, "*"), field: text}
    try:
        _celery(columns)
        taken = text not in STRICTER
    except Exception:
        taken = False
    line = " ".join(columns[field] for field in FIELDS)
    if taken and not _names_of_other_fields(field, text):
        assert parse_crontab(line) == columns
        assert _celery(parse_crontab(line)) == _celery(columns)
    else:
        with pytest.raises(UsageError, match="crontab"):
            parse_crontab(line)


def _names_of_other_fields(field: str, text: str) -> bool:
    """Celery takes a name for its number wherever it stands: `jan` for one o'clock."""
    days, months = ("sun", "mon", "tue", "fri"), ("jan", "mar", "dec")
    others = {"month_of_year": days, "day_of_week": months}.get(field, days + months)
    return any(name in text.lower() for name in others)


def test_what_is_taken_celery_takes() -> None:
    """Every pair of atoms as a list: no line passes that Celery would choke on."""
    atoms = (*NUMBERS, *WORDS, *RANGES, *STEPS)
    passed = 0
    for one, two in itertools.product(atoms, repeat=2):
        for field in ("hour", "month_of_year", "day_of_week"):
            columns = {**dict.fromkeys(FIELDS, "*"), field: f"{one},{two}"}
            try:
                parsed = parse_crontab(" ".join(columns[field] for field in FIELDS))
            except UsageError:
                continue
            assert _celery(parsed)
            passed += 1
    assert passed > 500


@pytest.mark.parametrize("line", ["", "*", "* * * *", "* * * * * *", "@daily", "0 3 * * 7", "0 24 * * *", "0 3 0 * *"])
def test_a_wrong_line_is_named(line: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_crontab(line)
    assert repr(line) in str(refused.value)


def test_the_wrong_field_is_named() -> None:
    with pytest.raises(UsageError, match=r"'7' is no day of week. Write 0 to 6"):
        parse_crontab("0 3 * * 7")


def test_a_list_must_fit_its_column() -> None:
    """Of 240 characters for minutes and 96 for hours, as the migrations make them."""
    whole_hour = ",".join(str(minute) for minute in range(60))
    assert parse_crontab(f"{whole_hour} * * * *")["minute"] == whole_hour
    with pytest.raises(UsageError, match="hour takes at most 96"):
        parse_crontab(f"0 {','.join(['10'] * 33)} * * *")


def test_a_line_reads_back() -> None:
    assert format_crontab(parse_crontab(" 0,30  3 1-5/2 * mon ")) == "0,30 3 1-5/2 * mon"
    # Beat writes what Celery was given as a list with blanks.
    assert format_crontab({**parse_crontab("* 3 * * *"), "minute": "1, 15"}) == "1,15 3 * * *"


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/New_York"])
def test_a_time_zone_is_known(name: str) -> None:
    assert check_timezone(name) == name


@pytest.mark.parametrize("name", ["", "Berlin", "europe/berlin", "UTC+1", "../etc/passwd"])
def test_a_wrong_time_zone_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not a time zone"):
        check_timezone(name)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("text", [*NUMBERS, *WORDS, *RANGES, *STEPS, *LISTS, "*", "fri-mon", "nov-feb/2", "6-1,3"])
def test_a_cron_daemon_gets_what_celery_understands(field: str, text: str) -> None:
    columns = {**dict.fromkeys(FIELDS, "*"), field: text}
    line = " ".join(columns[field] for field in FIELDS)
    try:
        meant = _celery(parse_crontab(line))
    except UsageError:
        with pytest.raises(UsageError, match="crontab"):
            cron_line(line, 5)
        return
    plain = cron_line(line, 5)
    assert _celery(parse_crontab(plain)) == meant
    # No name, and no range that goes back to the beginning: cron would take neither.
    assert set(plain) <= set("0123456789*/,- ")
    for part in plain.replace(" ", ",").split(","):
        first, _dash, last = part.partition("/")[0].partition("-")
        assert not last or int(first) <= int(last)


def test_a_minute_of_the_hosts_own() -> None:
    assert cron_line("H 2 * * *", 37) == "37 2 * * *"
    assert cron_line("H/30 * * * *", 37) == "7,37 * * * *"
    assert cron_line("H/25 * * * *", 24) == "24,49 * * * *"
    for line in ("* H * * *", "H/0 * * * *", "H/60 * * * *", "H,5 * * * *", "h 2 * * *", "H"):
        with pytest.raises(UsageError, match="crontab"):
            cron_line(line, 37)
