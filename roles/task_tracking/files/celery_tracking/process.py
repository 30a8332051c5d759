# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The writer of a worker, a process of its own: ``python -m celery_tracking.process <file> <worker>``.

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
from .pipe import PipeReader
from .records import END, OFFLINE, WORKER, pack, unpack
from .settings import Settings
from .writer import Writer

_FINISH_SECONDS = 5.0
_MOST_END = 32  # the record that says it is a short one
# A reader that waits in the pipe is woken by every write, which costs the task more than writing. So it comes by, often
# enough for the pipe never to be full: it holds a megabyte.
_READ_INTERVAL = 0.04
_NICE = 10  # the worker's tasks come first


def main() -> None:
    file, worker = int(sys.argv[1]), sys.argv[2]
    logging.basicConfig(format="[%(asctime)s: %(levelname)s/%(name)s] %(message)s", level=logging.INFO)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # It ends when its worker has: until then there may be something to write.
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    settings = Settings.read({**os.environ, "CELERY_TRACKING": "all"})
    buffer = Buffer(settings.buffer_records, settings.buffer_bytes)
    threading.Thread(target=_read, args=(file, worker, buffer), name="pipe", daemon=True).start()
    Writer(buffer, worker, _FINISH_SECONDS).run()


def _read(file: int, worker: str, buffer: Buffer) -> None:
    reader = PipeReader(file)
    while True:
        records = reader.read()
        if records is None:
            # The worker was killed outright: it could not say so itself.
            buffer.put([pack((WORKER, time.time(), worker, OFFLINE, 0, None))])
            break
        buffer.put(records)
        if any(len(record) < _MOST_END and unpack(record)[0] == END for record in records):
            break
        time.sleep(_READ_INTERVAL)
    buffer.close()


if __name__ == "__main__":
    main()
