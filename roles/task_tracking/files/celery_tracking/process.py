# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The writer of a worker, a process of its own: ``python -m celery_tracking.process <file> <worker> <born>``.

In the worker's main process the same work would take the interpreter away from the worker.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

from .buffer import Buffer
from .finishing import finish
from .pipe import PipeReader
from .records import END, LOST, OFFLINE, WORKER, pack, unpack
from .settings import Settings
from .writer import Writer

_MOST_SIGN = 32  # bytes of a record that is meant for this process; all of a task's are longer
# A reader that waits in the pipe is woken by every write, which costs the task more than writing. So it comes by, often
# enough for the pipe never to be full: it holds a megabyte.
_READ_INTERVAL = 0.04
# The worker's tasks come first. What the writer has not done beside them, it does at the worker's end.
_NICE = 10


def main() -> None:
    file, worker, born = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    logging.basicConfig(format="[%(asctime)s: %(levelname)s/%(name)s] %(message)s", level=logging.INFO)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # It ends when its worker has: until then there may be something to write.
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    settings = Settings.read({**os.environ, "CELERY_TRACKING": "all"})
    buffer = Buffer(settings.buffer_records, settings.buffer_bytes)
    writer = threading.Thread(target=Writer(buffer, worker, born).run, name="writer", daemon=True)
    writer.start()
    _read(file, worker, born, buffer, writer)
    finish(buffer, writer)


def _read(file: int, worker: str, born: float, buffer: Buffer, writer: threading.Thread) -> None:
    """Pass records on until the worker ends; its supervisor starts another process where the writer is no more."""
    reader = PipeReader(file)
    while writer.is_alive():
        records = reader.read()
        if records is None:
            # The worker was killed outright: it could not say so itself.
            buffer.put([pack((WORKER, time.time(), worker, OFFLINE, 0, None, born))])
            return
        ended = False
        passed = []
        for record in records:
            kind, _at, *rest = unpack(record) if len(record) < _MOST_SIGN else (None, None)
            if kind == LOST:
                buffer.drop(int(rest[0] or 0))
            elif kind == END:
                ended = True
            else:
                passed.append(record)
        buffer.put(passed)
        if ended:
            return
        time.sleep(_READ_INTERVAL)


if __name__ == "__main__":
    main()
