# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the program begins and ends. Whatever goes wrong, it says so in words, and by its exit code."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from ..errors import CleanupError
from .arguments import parse_arguments
from .output import Output
from .progress import Progress
from .run import FAILED, LEFT, InterruptedRunError, Run, TableRun, UnexpectedError, carry_out, code_of, new_run
from .status_file import write_status


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parse_arguments(argv)
    # A service manager or a shutdown ends a run as Ctrl-C does: between two batches nothing is half done.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = new_run(arguments)
    output = Output(run, as_json=arguments.json)
    _work(run, arguments, output)
    if arguments.status_file:
        try:
            write_status(arguments.status_file, run)
        except CleanupError as error:
            run.fail(f"{run.error} {error}" if run.error else str(error), FAILED)
    output.end()
    return run.exit_code


def _work(run: Run, arguments: argparse.Namespace, output: Output) -> None:
    progress = Progress(lambda line: output.say(line, sys.stderr))

    def show(done: TableRun) -> None:
        progress.clear()
        output.table(done)

    try:
        carry_out(run, arguments, show, progress.of)
    except CleanupError as error:
        run.fail(str(error), code_of(error))
    except KeyboardInterrupt:
        run.fail(str(InterruptedRunError()), LEFT)
    except Exception as error:
        run.fail(str(UnexpectedError(error)), FAILED)
    finally:
        progress.clear()
