# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps that each keep a log, run two at a time, and end in one summary."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from workspace import LOGS, ROOT

_HEARTBEAT = 30.0
_print_lock = threading.Lock()


def say(text: str) -> None:
    with _print_lock:
        print(text, flush=True)


@dataclass
class Outcome:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, ok: bool, note: str = "") -> None:
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            self.notes.append(note)


class Done(NamedTuple):
    """How a command ended, and what it printed: both streams, in the order in which they came."""

    status: int
    output: str

    @property
    def ok(self) -> bool:
        return self.status == 0


class Log:
    """Runs commands and keeps what they print."""

    def __init__(self, path: Path, *, live: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("w", encoding="utf-8")
        self._live = live
        self.last = ""

    def write(self, line: str) -> None:
        self._file.write(line.rstrip("\n") + "\n")
        self._file.flush()
        self.last = line.strip() or self.last
        if self._live:
            say("   " + line.rstrip("\n"))

    def run(
        self,
        command: Sequence[str | Path],
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> Done:
        self.write("$ " + shlex.join(str(part) for part in command))
        lines: list[str] = []
        with subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=dict(os.environ if environ is None else environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                self.write(line)
        return Done(process.returncode, "".join(lines))

    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Step:
    name: str
    action: Callable[[Log], Outcome]


@dataclass
class _Result:
    step: Step
    outcome: Outcome
    seconds: float


def _run(step: Step, *, live: bool) -> _Result:
    say(f"== {step.name}")
    started = time.monotonic()
    log = Log(LOGS / (step.name.replace(" ", "-") + ".log"), live=live)
    done = threading.Event()

    def beat() -> None:
        while not done.wait(_HEARTBEAT):
            say(f"   {step.name}, {time.monotonic() - started:.0f} s: {log.last[:100]}")

    if not live:
        threading.Thread(target=beat, daemon=True).start()
    try:
        outcome = step.action(log)
    except Exception as error:
        log.write(traceback.format_exc())
        outcome = Outcome(failed=1, notes=[str(error)])
    finally:
        done.set()
    result = _Result(step, outcome, time.monotonic() - started)
    if outcome.failed and not live:
        say(f"---- {step.name}: the whole log ----\n{log.text()}---- end of {step.name} ----")
    say(f"== {step.name}: {_words(outcome)}, {result.seconds:.1f} s")
    return result


def _words(outcome: Outcome) -> str:
    words = f"{outcome.passed} passed, {outcome.failed} failed"
    return f"{words}, {outcome.skipped} skipped" if outcome.skipped else words


def run(groups: Sequence[Sequence[Step]], *, jobs: int) -> int:
    """Runs the groups one after another, the steps of a group side by side; returns an exit status.

    A group that failed ends the run: what comes after it builds on it.
    """
    started = time.monotonic()
    results: list[_Result] = []
    for steps in groups:
        live = len(steps) == 1 or jobs == 1
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            results.extend(pool.map(lambda step, live=live: _run(step, live=live), steps))
        if any(result.outcome.failed for result in results):
            break
    total = Outcome()
    width = max(len(result.step.name) for result in results)
    say("\nSummary")
    for result in results:
        mark = "FAILED" if result.outcome.failed else "ok"
        say(f"  {mark:6}  {result.step.name:{width}}  {result.seconds:7.1f} s  {_words(result.outcome)}")
        for note in result.outcome.notes:
            say(f"          {note}")
        total.passed += result.outcome.passed
        total.failed += result.outcome.failed
        total.skipped += result.outcome.skipped
    say(f"  {'':6}  {'all together':{width}}  {time.monotonic() - started:7.1f} s")
    say(_words(total))
    sys.stdout.flush()
    return 1 if total.failed else 0
