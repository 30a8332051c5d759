# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a run's progress, when, and how it travels."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest
from ansible.utils.display import Display
from ansible_collections.fleetops.celery.plugins.module_utils._engine.pace import Pace, Rhythm
from ansible_collections.fleetops.celery.plugins.module_utils._progress_file import (
    VARIABLE,
    progress_file,
)
from ansible_collections.fleetops.celery.plugins.plugin_utils._progress_monitor import Monitor, read_pace
from support.waiting import wait_until

FILE = "[250, 1.5, 1000, true, null]"


@pytest.mark.parametrize(
    ("pace", "text"),
    [
        (Pace(1_250_000, 5.0, 4_000_000), "1,250,000 of 4,000,000 rows (31 %), 250,000 rows/s, 11 s left"),
        (Pace(250, 10.0, 4_012_345, True), "250 of about 4,010,000 rows (0 %), 25 rows/s, 44 h 35 min left"),
        (Pace(999, 1.0, 1000), "999 of 1,000 rows (99 %), 999 rows/s, 1 s left"),
        (Pace(100, 10.0, 6100), "100 of 6,100 rows (1 %), 10 rows/s, 10 min left"),
        (Pace(0, 0.0, 10), "0 of 10 rows (0 %), 0 rows/s"),
        # An estimate that proved too low says nothing about the end.
        (Pace(60, 2.0, 50, True), "60 rows, 30 rows/s"),
        (Pace(60, 2.0), "60 rows, 30 rows/s"),
        (Pace(60, 2.0, 80, False, "vacuum"), "60 of 80 rows (75 %), waiting for the gate vacuum"),
        (Pace(60, 2.0, None, False, "hours"), "60 rows, waiting for the gate hours"),
    ],
)
def test_text(pace: Pace, text: str) -> None:
    assert pace.text == text


@pytest.mark.parametrize(
    ("rhythm", "told", "pace", "news"),
    [
        (Rhythm(2, 0), None, Pace(0, 1.0, 100), False),
        (Rhythm(2, 0), None, Pace(1, 1.0, 100), True),
        (Rhythm(2, 0), Pace(1, 1.0, 100), Pace(1, 9.0, 100), False),
        (Rhythm(2, 0), Pace(1, 1.0), Pace(2, 9.0), True),
        (Rhythm(30, 0.1), Pace(10, 1.0, 100), Pace(19, 9.0, 100), False),
        (Rhythm(30, 0.1), Pace(10, 1.0, 100), Pace(20, 9.0, 100), True),
        (Rhythm(30, 0.1), Pace(10, 1.0), Pace(20, 9.0), False),
        (Rhythm(30, 0.1), Pace(10, 1.0), Pace(21, 9.0), True),
        (Rhythm(30, 0.1), None, Pace(0, 1.0, 100, False, "hours"), True),
        (Rhythm(30, 0.1), Pace(0, 1.0, 100, False, "hours"), Pace(0, 2.0, 100, False, "hours"), False),
        (Rhythm(30, 0.1), Pace(0, 1.0, 100, False, "hours"), Pace(0, 2.0, 100), True),
    ],
)
def test_when_there_is_news(rhythm: Rhythm, told: Pace | None, pace: Pace, news: bool) -> None:
    assert rhythm.is_news(pace, told) is news


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "cat: no such file",
        "{}",
        "[]",
        "[1, 2.0]",
        '["1", 2.0, 3, true, null]',
        "[1, 2.0, 3, true, 5]",
        '[1, 2.0, 3, true, "evil"]',
        "[1, 2.0",
    ],
)
def test_what_is_no_progress(text: str) -> None:
    assert read_pace(text) is None


def test_a_shell_that_greets(tmp_path: Path) -> None:
    assert read_pace(f"Welcome\r\n{FILE}\r\n") == Pace(250, 1.5, 1000, True)


def test_the_name_of_a_gate_travels() -> None:
    assert read_pace('[250, 1.5, null, false, "hours"]') == Pace(250, 1.5, None, False, "hours")


def test_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tmp" / "progress"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "~/tmp/progress")
    with progress_file() as write:
        assert write
        write(Pace(250, 1.5, 1000, True))
        assert read_pace(path.read_text()) == Pace(250, 1.5, 1000, True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        write(Pace(260, 1.6, 1000, True))
        assert read_pace(path.read_text()) == Pace(250, 1.5, 1000, True)  # a second has not passed
    assert list(path.parent.iterdir()) == []


def test_no_file_where_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with progress_file() as write:
        assert write is None


def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "progress"))
    with progress_file() as write:
        assert write
        write(Pace(1, 1.0))


def test_a_monitor_says_what_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    texts = iter(["", "[5, 1.0, null, false, null]", "[5, 1.0, null, false, null]", "nonsense"])
    looked = []

    def read() -> str:
        looked.append(1)
        return next(texts, "[8, 2.0, null, false, null]")

    monitor = Monitor(lambda: read, "shop", Rhythm(0.01, 0))
    monitor.start()
    while len(looked) < 7:
        time.sleep(0.01)
    monitor.finish()
    said = len(looked)
    time.sleep(0.05)
    assert len(looked) == said
    assert capsys.readouterr().err == "shop: 5 rows, 5 rows/s\nshop: 8 rows, 4 rows/s\n"


@pytest.mark.parametrize(("verbosity", "said"), [(2, ""), (3, "<shop> No more progress is shown: away\n")])
def test_a_monitor_that_fails_is_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verbosity: int, said: str
) -> None:
    monkeypatch.setattr(Display(), "verbosity", verbosity)
    looked = []

    def read() -> str:
        looked.append(1)
        raise ConnectionError("away")

    monitor = Monitor(lambda: read, "shop", Rhythm(0.01, 0))
    monitor.start()
    wait_until(lambda: looked)
    time.sleep(0.05)  # it does not look again
    monitor.finish()
    assert (len(looked), *capsys.readouterr()) == (1, said, "")
