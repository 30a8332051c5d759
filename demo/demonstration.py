# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three deployments, their statistics, a rehearsal of the cleanup, the cleanup, and proof that it was all."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from deployments import echoclip, reader, shop
from support.missing import MissingPart
from support.running import PlaybookRun, run_playbook
from support.servers import Database, PostgreSQL

INVENTORY = Path(__file__).parent / "inventory"
DEPLOYMENTS = {"shop": shop.make, "echoclip": echoclip.make, "reader": reader.make}
TABLES = {
    "shop": ("django_celery_results_taskresult",),
    "echoclip": ("processing_tasks",),
    "reader": ("reading_sessions", "celery_taskmeta"),
}


class Disappointment(Exception):
    """Something in the demonstration did not go as it must."""


def demonstrate(page: Path | None = None) -> int:
    """Do all of it; *page* is where a page with pictures of the tables before the cleanup is kept."""
    # A stop from outside takes the server along, as Ctrl-C does.
    signal.signal(signal.SIGTERM, _leave)
    began = time.monotonic()
    try:
        _heading("A PostgreSQL of our own, and three deployments that nobody has cleaned up for two months")
        with PostgreSQL() as server:
            databases = {name: _deployment(server, name) for name in DEPLOYMENTS}
            _act(databases, page)
    except (Disappointment, MissingPart) as error:
        print(f"\nThe demonstration failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the server and its files are gone.", file=sys.stderr)
        return 130
    _heading(f"Done in {time.monotonic() - began:.0f} seconds: the server is stopped and its files are removed")
    return 0


def _act(databases: dict[str, Database], page: Path | None) -> None:
    _heading("What is in the tables")
    _play(databases, "stats", variables={"cleanup_stats_page": str(page)} if page else {})
    before = _content(databases)

    _heading("What a cleanup would do: nothing is written")
    rehearsal = _play(databases, "cleanup", check=True, diff=True)
    _insist(_content(databases) == before, "check mode has changed a table")
    _insist(_changed(rehearsal) == set(DEPLOYMENTS), "check mode did not announce a change on each host")

    _heading("The cleanup")
    _insist(_changed(_play(databases, "cleanup")) == set(DEPLOYMENTS), "the cleanup did not change each host")

    _heading("The same again: there is nothing left to do")
    _insist(not _changed(_play(databases, "cleanup")), "the second run has changed something")

    _heading("Rows before and after")
    for name, (count_before, count_after) in _comparison(before, _content(databases)).items():
        print(f"  {name:<48} {count_before:>9,} → {count_after:>9,}")


def _leave(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _heading(text: str) -> None:
    print(f"\n{'=' * 100}\n{text}\n{'=' * 100}", flush=True)


def _deployment(server: PostgreSQL, name: str) -> Database:
    database = server.new_database()
    rows = DEPLOYMENTS[name](database)
    # As autovacuum would have done in those two months: the planner knows the tables.
    database.execute("ANALYZE")
    print(f"  {name}: {rows:,} rows in {' and '.join(TABLES[name])}", flush=True)
    return database


def _play(
    databases: dict[str, Database],
    playbook: str,
    check: bool = False,
    diff: bool = False,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> PlaybookRun:
    options = " --check" * check + " --diff" * diff
    options += "".join(f" -e {name}={value}" for name, value in variables.items())
    print(f"$ ansible-playbook -i demo/inventory fleetops.celery.{playbook}{options}\n", flush=True)
    run = run_playbook(
        f"fleetops.celery.{playbook}",
        inventory=INVENTORY,
        extra_vars=variables,
        check=check,
        diff=diff,
        # The inventory looks the passwords up in the environment.
        env={f"DEMO_{name.upper()}_DATABASE_URL": database.url for name, database in databases.items()},
        echo=True,
    )
    _insist(run.exit_code == 0, f"fleetops.celery.{playbook}{options} ended with status {run.exit_code}")
    _insist(set(run.recap) == set(DEPLOYMENTS), f"the recap names {sorted(run.recap)} and not each host")
    return run


def _changed(run: PlaybookRun) -> set[str]:
    return {host for host, numbers in run.recap.items() if numbers["changed"]}


def _content(databases: dict[str, Database]) -> dict[str, dict[str, int]]:
    """By table, the number of rows by status: enough to see any deletion and any change of a status."""
    content: dict[str, dict[str, int]] = {}
    for name, tables in TABLES.items():
        for table in tables:
            status = "is_active" if table == "reading_sessions" else "status"
            rows = databases[name].execute(f"SELECT {status}, count(*) FROM {table} GROUP BY 1")
            content[f"{name}: {table}"] = {str(value): count for value, count in rows}
    return content


def _comparison(before: dict[str, dict[str, int]], after: dict[str, dict[str, int]]) -> dict[str, tuple[int, int]]:
    return {name: (sum(before[name].values()), sum(after[name].values())) for name in before}


def _insist(fulfilled: bool, failure: str) -> None:
    if not fulfilled:
        raise Disappointment(failure)
