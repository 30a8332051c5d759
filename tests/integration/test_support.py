# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' own parts: a fixture that builds nothing would let every test over it pass."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, ProgrammingError
from support.servers import Database, PostgreSQL
from support.servers.base import open_engine


def _with_rows(database: Database) -> Database:
    database.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, text VARCHAR(40))")
    database.execute("INSERT INTO kept VALUES (1, '50% done'), (2, 'a: b')")
    return database


def test_a_copy_of_a_database_has_its_tables_and_rows(database: Database) -> None:
    _with_rows(database)
    copy = database.server.new_database(template=database)
    assert copy.execute("SELECT id, text FROM kept ORDER BY id") == [(1, "50% done"), (2, "a: b")]
    copy.execute("DELETE FROM kept")
    assert (copy.count("kept"), database.count("kept")) == (0, 2)
    copy.drop()


def test_a_viewer_reads_and_changes_nothing(role_database: Database) -> None:
    _with_rows(role_database)
    with open_engine(role_database.viewer_url).begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM kept")) == 2
    with (
        pytest.raises((OperationalError, ProgrammingError), match="denied"),
        open_engine(role_database.viewer_url).begin() as connection,
    ):
        connection.execute(sa.text("DELETE FROM kept"))


def test_the_owner_needs_the_right_password(role_database: Database) -> None:
    wrong = sa.make_url(role_database.url).set(password="wrong")
    with pytest.raises(OperationalError, match=r"password|denied"):
        open_engine(wrong).connect()


def test_a_postgresql_database_can_have_a_time_zone(postgresql: PostgreSQL) -> None:
    database = postgresql.new_database(time_zone="America/New_York")
    assert database.scalar("SHOW timezone") == "America/New_York"
    database.drop()
