# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run of the command: what it does with each table, and how that went."""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ..cleaning import Cleaning, clean, cleaning_document
from ..errors import CleanupError, RefusedError, TableBusyError, UsageError
from ..pace import Pace
from ..policy_file import open_database
from ..table_lock import table_lock
from .arguments import STEPS_OF
from .policy_file import read_policy
from .requested import requested

DONE, FAILED, WRONG, LEFT = 0, 1, 2, 3
_FROM_GOOD_TO_BAD = (DONE, LEFT, WRONG, FAILED)

Document = dict[str, Any]
Watch = Callable[[str], Callable[[Pace], None]]


class InterruptedRunError(CleanupError):
    """Somebody ended the run."""

    def __init__(self) -> None:
        super().__init__("Interrupted. What was committed by then is done; the next run goes on from there.")


class UnexpectedError(CleanupError):
    """What nobody thought of. Its own text may hold anything, so only the place is told."""

    def __init__(self, error: Exception) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        super().__init__(
            f"This should not happen: {type(error).__name__} at {last.filename}:{last.lineno}. Please report it."
        )


@dataclass
class TableRun:
    """What was done with one table; without a cleaning, error says why."""

    table: str
    cleaning: Cleaning | None = None
    error: CleanupError | None = None

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return code_of(self.error)
        return LEFT if self.cleaning and self.cleaning.ended_early else DONE

    @property
    def deleted(self) -> int:
        return self.cleaning.purge.deleted if self.cleaning and self.cleaning.purge else 0

    @property
    def ended(self) -> int:
        return sum(one.ended for one in self.cleaning.zombies) if self.cleaning else 0


@dataclass
class Run:
    """One run; error is what kept it from any table."""

    command: str
    dry_run: bool
    database: str | None = None
    tables: list[TableRun] = field(default_factory=list)
    error: str | None = None
    error_code: int = DONE
    began: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    _clock: float = field(default_factory=time.monotonic)

    @property
    def exit_code(self) -> int:
        codes = [self.error_code, *(one.exit_code for one in self.tables)]
        return max(codes, key=_FROM_GOOD_TO_BAD.index)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._clock

    def fail(self, error: str, code: int) -> None:
        self.error, self.error_code = error, code


def code_of(error: CleanupError) -> int:
    if isinstance(error, (TableBusyError, InterruptedRunError)):
        return LEFT
    wrong = isinstance(error, UsageError) and not isinstance(error, RefusedError)
    return WRONG if wrong else FAILED


def new_run(arguments: argparse.Namespace) -> Run:
    command = "stats" if getattr(arguments, "stats_only", False) else arguments.command
    return Run(command, arguments.dry_run)


def carry_out(run: Run, arguments: argparse.Namespace, show: Callable[[TableRun], None], watch: Watch) -> None:
    """Do what the command line says, table by table; where one fails, go on with the next.

    :param show: is told of each table as soon as it is done
    :param watch: returns what is told the pace of a table's purge
    :raises CleanupError: where no table could be reached
    """
    policy = read_policy(arguments)
    reads = run.dry_run or not STEPS_OF[run.command]
    with open_database(policy, read_only=reads) as database:
        run.database = database.name
        policy, tables = requested(policy, database, arguments)
        for table in tables:
            done = TableRun(table.profile.table)
            run.tables.append(done)
            try:
                with nullcontext() if reads else table_lock(database, table.profile.table):
                    done.cleaning = clean(
                        database,
                        policy,
                        table,
                        check=run.dry_run,
                        steps=STEPS_OF[run.command],
                        watch=watch(table.profile.table),
                        **_of_statistics(arguments),
                    )
            except CleanupError as error:
                done.error = error
            except KeyboardInterrupt:
                done.error = InterruptedRunError()
                raise done.error from None
            except Exception as error:
                done.error = UnexpectedError(error)
            show(done)


def _of_statistics(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(arguments, name, None) for name in ("top", "period")}
    return {name: value for name, value in given.items() if value is not None}


def run_document(run: Run) -> Document:
    """Return all of it as plain data, as ``--json`` prints it."""
    return {
        "command": run.command,
        "dry_run": run.dry_run,
        "database": run.database,
        "started": run.began.isoformat(timespec="seconds"),
        "duration_seconds": round(run.seconds, 3),
        "exit_code": run.exit_code,
        "error": run.error,
        "tables": [
            {
                **(cleaning_document(one.cleaning) if one.cleaning else {"table": one.table}),
                "notes": one.cleaning.purge.notes if one.cleaning and one.cleaning.purge else [],
                "exit_code": one.exit_code,
                "error": str(one.error) if one.error else None,
            }
            for one in run.tables
        ],
    }


def status_document(run: Run) -> Document:
    """Return what monitoring wants to know."""
    return {
        "command": run.command,
        "dry_run": run.dry_run,
        "started": run.began.isoformat(timespec="seconds"),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "duration_seconds": round(run.seconds, 3),
        "exit_code": run.exit_code,
        "error": run.error,
        "tables": [_status(one) for one in run.tables],
    }


def _status(one: TableRun) -> Document:
    purged = one.cleaning.purge if one.cleaning else None
    return {
        "table": one.table,
        "deleted": one.deleted,
        "ended": one.ended,
        "remaining": purged.remaining if purged else None,
        "stopped": purged.progress.stopped if purged else None,
        "exit_code": one.exit_code,
        "error": str(one.error) if one.error else None,
    }
