# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command says: for people as it goes, or one JSON document at the end."""

from __future__ import annotations

import json
import os
import sys
from typing import TextIO

from ..cleaning import cleaning_report
from .run import LEFT, Run, TableRun, run_document

_DOUBLE = "=" * 60


class Output:
    """Writes to standard output, and warnings and errors to standard error.

    Where nobody reads any more, or the disk is full, the work goes on without words.
    """

    def __init__(self, run: Run, *, as_json: bool) -> None:
        self._run = run
        self._as_json = as_json
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # Names may hold characters that the locale of cron does not have.
                stream.reconfigure(errors="backslashreplace")

    def table(self, done: TableRun) -> None:
        """Show what was done with one table."""
        if self._as_json:
            return
        if len(self._run.tables) == 1:
            self._title()
        for line in cleaning_report(done.cleaning) if done.cleaning else ():
            self.say(line)
        for note in done.cleaning.purge.notes if done.cleaning and done.cleaning.purge else ():
            self.say(f"Warning: {note}", sys.stderr)
        if done.error is not None:
            self.say(f"{'Left' if done.exit_code == LEFT else 'Error'}: {done.table}: {done.error}", sys.stderr)

    def end(self) -> None:
        """Say how all of it went."""
        if self._as_json:
            self.say(json.dumps(run_document(self._run), indent=2, ensure_ascii=True))
            return
        if self._run.error:
            self.say(f"Error: {self._run.error}", sys.stderr)
        else:
            if not self._run.tables:
                self._title()
                self.say("There is no table that a profile knows.")
            self.say(_DOUBLE)
            self.say(self._summary())

    def say(self, line: str, stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        try:
            stream.write(f"{line}\n")
            stream.flush()
        except OSError:
            # Python itself would try once more at the end, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    def _title(self) -> None:
        dry = ", dry run" if self._run.dry_run else ""
        for line in (_DOUBLE, f"celery-cleanup {self._run.command}{dry}: {self._run.database}", _DOUBLE):
            self.say(line)

    def _summary(self) -> str:
        run = self._run
        if run.command == "stats":
            words = "Only statistics were shown"
        elif run.dry_run:
            words = "Dry run: nothing was changed"
        else:
            deleted, ended = (sum(getattr(one, word) for one in run.tables) for word in ("deleted", "ended"))
            words = f"{deleted:,} records deleted, {ended:,} ended"
        verdict = {0: "Done", 3: "Stopped early, rows are left"}.get(run.exit_code, "Failed")
        return f"{verdict} at {run.began:%Y-%m-%d %H:%M} UTC after {run.seconds:.1f} s: {words}"
