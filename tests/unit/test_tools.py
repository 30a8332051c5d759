# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands behind the Makefile does not take silence for success."""

from __future__ import annotations

from pathlib import Path

import interpreters
import pytest
import role_readme
import sanity
import scenarios
import suite

_RECAP = "shop : ok={ok}    changed=0    unreachable=0    failed=0    skipped=0"


def test_a_shim_that_fails_is_no_interpreter(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'python3.12: command not found' >&2\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)
    assert interpreters.probe(shim) == "python3.12: command not found"


def test_a_scenario_that_matched_no_host_did_nothing() -> None:
    output = "\n".join(
        [
            "INFO     [cleanup > converge] Executing",
            _RECAP.format(ok=3),
            "INFO     [cleanup > verify] Executing",
            "skipping: no hosts matched",
        ]
    )
    done = scenarios.tasks_done(output)
    assert (done["cleanup", "converge"], done["cleanup", "verify"]) == (3, 0)


@pytest.mark.parametrize("word", ["ERROR", "FATAL"])
def test_sanity_failures_are_counted_by_name(word: str) -> None:
    outcome = sanity.tally(
        'Running sanity test "pep8"\n'
        'Running sanity test "import" on Python 3.9\n'
        f"{word}: The 1 sanity test(s) listed below (out of 2) failed. See error output above for details.\n"
        "import --python 3.9\n"
        "FATAL: Command ended.\n"
    )
    assert (outcome.passed, outcome.failed, outcome.notes) == (1, 1, ["import --python 3.9"])


def test_a_sanity_run_without_tests_fails() -> None:
    assert sanity.tally("WARNING: nothing to do\n").failed == 1


@pytest.mark.parametrize(("ci", "counts"), [("true", (1, 2, 0)), ("", (1, 1, 1))])
def test_a_skipped_test_is_a_failure_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, counts: tuple[int, int, int]
) -> None:
    monkeypatch.setenv("CI", ci)
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuite><testcase name='a'/><testcase name='b'><skipped message='no MariaDB'/></testcase>"
        "<testcase name='c'><failure/></testcase></testsuite>",
        encoding="utf-8",
    )
    outcome = suite.read(report)
    assert (outcome.passed, outcome.failed, outcome.skipped) == counts


def test_markup_of_ansible_becomes_markdown() -> None:
    text = r"O(a.b=1\)) and V(x|y\\z) of M(fleetops.celery.results_info), L(more, https://example.com)."
    assert role_readme.markdown(text) == (
        r"`a.b=1)` and `x|y\z` of `fleetops.celery.results_info`, [more](https://example.com)."
    )
