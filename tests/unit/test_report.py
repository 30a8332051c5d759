# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers as people read them."""

from __future__ import annotations

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.census import Census
from ansible_collections.fleetops.celery.plugins.module_utils._engine.census_report import census_diff
from ansible_collections.fleetops.celery.plugins.module_utils._engine.progress import Progress
from ansible_collections.fleetops.celery.plugins.module_utils._engine.purge_report import purge_report
from ansible_collections.fleetops.celery.plugins.module_utils._engine.purge_result import PurgeResult, RuleCount
from ansible_collections.fleetops.celery.plugins.module_utils._engine.rules import parse_purge_rules
from ansible_collections.fleetops.celery.plugins.module_utils._engine.sizes import Size
from ansible_collections.fleetops.celery.plugins.module_utils._engine.wording import format_bytes

MB = 1024 * 1024


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1.0 kB"),
        (12 * 1024, "12 kB"),
        (256 * MB, "256 MB"),
        (int(1.5 * 1024 * MB), "1.5 GB"),
        (5000 * 1024 * 1024 * MB, "5,000 TB"),
    ],
)
def test_bytes(count: int, text: str) -> None:
    assert format_bytes(count) == text


def _result(check: bool, stopped: bool = False, estimated: bool = False, note: str | None = None) -> PurgeResult:
    old, revoked = parse_purge_rules(
        [{"name": "old", "older_than": "7d"}, {"name": "revoked", "statuses": ["REVOKED"]}]
    )
    progress = Progress(changed=245, batches=3)
    if stopped:
        progress.stop("max_rows", "245 rows are done")
    return PurgeResult(
        table="results",
        rules=[RuleCount(old, 198, 0 if check else 198), RuleCount(revoked, 47, 0 if check else 47, note)],
        related=[],
        before=Census(1043, Size(MB, MB), {"REVOKED": 47, "SUCCESS": 996}, estimated=estimated),
        after=Census(798, Size(MB, MB), {"SUCCESS": 798}),
        protected=0,
        referenced=0,
        remaining=1 if stopped else 0,
        progress=progress,
        seconds=1.25,
        check=check,
        archive=None,
        strategy="batches",
        strategy_reason=None,
        cautions=[],
        cleared=[],
    )


def test_what_would_be_deleted() -> None:
    assert purge_report(_result(check=True)) == [
        "results: would delete 245 records (1,043 → 798)",
        "  - old: 198 records (SUCCESS, FAILURE, REVOKED older than 7d)",
        "  - revoked: 47 records (REVOKED at any age)",
    ]


def test_what_was_deleted() -> None:
    lines = purge_report(_result(check=False))
    assert lines[0] == "results: deleted 245 records (1,043 → 798)"
    assert lines[-1].startswith("  3 batches in 1.2 s, size 2.0 MB → 2.0 MB")


def test_a_stop_says_why_and_how_many_remain() -> None:
    lines = purge_report(_result(check=False, stopped=True))
    assert "  Stopped early (max_rows): 245 rows are done; 1 record still matches" in "\n".join(lines)


def test_an_estimate_is_called_one() -> None:
    assert "(about 1,043 → 798)" in purge_report(_result(check=False, estimated=True))[0]


def test_a_note_stands_in_place_of_a_number() -> None:
    assert purge_report(_result(check=True, note="cannot select"))[2] == "  - revoked: cannot select"


def test_a_diff_shows_the_table_before_and_after() -> None:
    result = _result(check=True)
    assert census_diff("results", result.before, result.after) == {
        "before_header": "results",
        "after_header": "results",
        "before": "total: 1,043\nREVOKED: 47\nSUCCESS: 996\n",
        "after": "total: 798\nSUCCESS: 798\n",
    }
