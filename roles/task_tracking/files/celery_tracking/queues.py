# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many messages wait in the queues that a worker consumes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def queue_lengths(app: Any) -> Iterator[tuple[str, int]]:
    """Ask the broker on a connection of our own: the pools of the application belong to its tasks."""
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1, timeout=5)
        for queue in list(app.amqp.queues.consume_from.values()):
            # A refusal closes the channel, and some brokers refuse to declare a queue that is empty.
            with connection.channel() as channel:
                try:
                    declared = queue.bind(channel).queue_declare(passive=True)
                except connection.channel_errors:
                    yield queue.name, 0
                else:
                    yield queue.name, int(declared.message_count)
