# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a process: it waits for its writer as long as records move forward, and says what is lost."""

from __future__ import annotations

import logging
import threading

from .buffer import Buffer
from .patience import wait_while_it_moves

_log = logging.getLogger("celery_tracking")

#: So long nothing may have been written: then the database is away, or hangs.
STILL_SECONDS = 5.0
#: So long it takes at most.
MOST_SECONDS = 60.0
_LOOK = 0.1
_LAST_WORDS = 1.0  # seconds in which a writer that is told to stop counts what is left
#: What is said of those that were not written.
LOST = "%d records of tracked tasks are lost: the database did not take them in time."


def finish(buffer: Buffer, writer: threading.Thread) -> None:
    """Close the buffer and wait until its writer has written everything, or gets no further."""
    buffer.close()

    def ended() -> bool:
        writer.join(_LOOK)
        return not writer.is_alive()

    if not wait_while_it_moves(ended, lambda: buffer.unwritten, STILL_SECONDS, MOST_SECONDS):
        buffer.give_up()
        writer.join(_LAST_WORDS)
    # A writer that has come to its end has said so itself.
    if lost := buffer.unwritten + buffer.take_dropped():
        _log.error(LOST, lost)
