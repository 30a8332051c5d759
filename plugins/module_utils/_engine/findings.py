# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be wrong with a deployment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, and what to do about it.

    ``severity``: ``error`` where the deployment does not do its work, ``warning`` where it soon may
    not, or does what nobody wants.
    """

    severity: str
    code: str
    message: str
    fix: str


def error(code: str, message: str, fix: str) -> Finding:
    return Finding("error", code, message, fix)


def warning(code: str, message: str, fix: str) -> Finding:
    return Finding("warning", code, message, fix)


def survey_report(findings: Sequence[Finding]) -> list[str]:
    """Return *findings* as lines, errors first, each with what to do about it."""
    if not findings:
        return ["Nothing is wrong."]
    lines = []
    for finding in sorted(findings, key=lambda one: one.severity != "error"):
        lines += [f"{finding.severity.upper()} {finding.code}: {finding.message}", f"  {finding.fix}"]
    return lines
