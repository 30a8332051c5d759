# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be written on the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from pkgutil import get_data

from ..cleaning import STEPS
from ..durations import parse_duration
from ..errors import UsageError
from ..profiles import PROFILES
from ..reclaim import MODES

#: What each command does of a cleaning.
STEPS_OF = {"stats": (), "purge": ("purge",), "fail-zombies": ("zombies",), "vacuum": ("vacuum",), "run": STEPS}

#: What is done where no command is named, as it changes nothing.
_DEFAULT = "stats"
_DAYS = 30  # of an age that nobody has said
_EPILOG = """\
Where the database is: --policy, --database-url-file, --project-dir or --project-name, or the variable
CELERY_DATABASE_URL of the environment.

Exit codes: 0 done, or nothing to do; 1 failed; 2 wrong usage or policy; 3 stopped early with rows left, also where
another run is at work on a table.
"""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the program with 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="celery-cleanup",
        description=f"Keeps the tables behind Celery healthy. Without a command, it is {_DEFAULT}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, words: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=words,
            description=words[0].upper() + words[1:] + ".",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_common(command)
        return command

    stats = add("stats", "show what is in the tables")
    stats.add_argument("--period", type=_duration, help="how far back to count, as 24h or 7d (24h)")
    stats.add_argument("--top", type=_count, metavar="NUMBER", help="how many task names to list (10)")
    purge = add("purge", "delete records")
    _add_retention(purge)
    _add_selection(purge)
    _add_timeouts(add("fail-zombies", "end records whose task is dead"))
    vacuum = add("vacuum", "give back the space of deleted records")
    vacuum.add_argument("--mode", choices=MODES, help="how; auto where neither this nor the policy says it")
    vacuum.add_argument("--confirm", metavar="TABLE", help="the table's name again, which the mode full needs")
    run = add("run", "do all of it: end dead tasks, delete, give back the space")
    _add_timeouts(run)
    _add_retention(run)
    run.add_argument("--stats-only", action="store_true", help="only show what is in the tables")
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help", "--version")):
        given.insert(0, _DEFAULT)
    return parser.parse_args(given)


def _add_common(command: argparse.ArgumentParser) -> None:
    place = command.add_argument_group("where")
    place.add_argument("--policy", metavar="FILE", help="rules and limits as JSON, readable by its owner alone")
    one = place.add_mutually_exclusive_group()
    one.add_argument("--database-url-file", metavar="FILE", help="a file with the URL, readable by its owner alone")
    one.add_argument(
        "--database-url", metavar="URL", help="the URL itself, where it holds no password: others see it in ps"
    )
    one.add_argument("--project-dir", metavar="FOLDER", help="the folder of a Compose project that runs")
    one.add_argument("--project-name", metavar="NAME", help="the name of a Compose project that runs")
    place.add_argument("--profile", choices=list(PROFILES), help="only the table of this kind")
    place.add_argument("--table", help="only this table: table or schema.table")
    output = command.add_argument_group("output")
    output.add_argument("--dry-run", action="store_true", help="only read, and say what would be done")
    output.add_argument("--json", action="store_true", help="print one JSON document")
    output.add_argument("--status-file", metavar="FILE", help="write there, as JSON, how it went, for monitoring")


def _add_retention(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("how long records are kept, in days, instead of what the rules say")
    for status in ("failure", "success"):
        group.add_argument(f"--{status}-retention", type=_count, metavar="DAYS")


def _add_timeouts(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("from what age a task is dead, in hours, instead of what the rules say")
    group.add_argument("--running-timeout", type=_count, metavar="HOURS", help="since it started")
    group.add_argument("--pending-timeout", type=_count, metavar="HOURS", help="since it was created")


def _add_selection(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("which records, instead of what the rules say")
    group.add_argument(
        "--days", type=_count, nargs="?", const=_DAYS, help=f"those that ended so many days ago or earlier ({_DAYS})"
    )
    group.add_argument(
        "--high-frequency",
        nargs="*",
        metavar="TASK",
        help="those of these tasks, or of the policy's high-frequency tasks, at any age",
    )
    group.add_argument("--task-name", nargs="+", metavar="TASK", help="those whose task's name contains this")
    group.add_argument("--force-status", metavar="STATUS", help="those with this status, finished or not")
    group.add_argument("--older-than", type=_count, metavar="DAYS", help="of --force-status, those of this age")
    group.add_argument("--all", action="store_true", help="every record")
    group.add_argument("--confirm", metavar="TABLE", help="the table's name again, which --all needs")


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return number


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text, "")
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix(": ")) from None


def _version() -> str:
    try:
        return (get_data((__package__ or "").rpartition(".")[0], "VERSION") or b"").decode("ascii").strip()
    except OSError:
        return "of a checkout"
