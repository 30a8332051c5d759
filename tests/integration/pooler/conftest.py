# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import provide
from support.servers import PostgreSQL
from support.servers.pgbouncer import PgBouncer


@pytest.fixture(scope="package")
def pooler(postgresql: PostgreSQL) -> Iterator[PgBouncer]:
    running = provide(lambda: PgBouncer(postgresql))
    yield running
    running.stop()
