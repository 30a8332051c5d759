# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole policy, as the playbook cleanup and the command celery-cleanup do it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from .deployment import deployment
from .engine.cleaning import clean, cleaning_document, cleaning_report
from .engine.errors import CleanupError, TableBusyError
from .engine.table_lock import table_lock


def run_policy(check: bool) -> tuple[dict[str, Any], CleanupError | None]:
    """Clean every table of the policy, but for one that another run is at. Where one fails, go on with the next.

    Returns what was done, and the first error that there was.
    """
    tables, skipped, report = [], [], []
    failure: CleanupError | None = None
    with deployment(read_only=check) as here:
        for table in here.policy.tables_in(here.database):
            name = table.profile.table
            try:
                # Who only looks is in nobody's way.
                with nullcontext() if check else table_lock(here.database, name):
                    done = clean(here.database, here.policy, table, check=check)
            except TableBusyError as busy:
                skipped.append(name)
                report.append(str(busy))
                continue
            except CleanupError as error:
                failure = failure or error
                report.append(f"{name}: {error}")
                continue
            tables.append(cleaning_document(done))
            report += cleaning_report(done)
    document = {
        "changed": any(table["changed"] for table in tables),
        "dry_run": check,
        "tables": tables,
        "skipped": skipped,
        "report": report,
    }
    return document, failure
