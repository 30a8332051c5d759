# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On PostgreSQL other sessions read what the first deletes: the very same rows, or they are not used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import sqlalchemy as sa
from ansible_collections.fleetops.celery.plugins.module_utils._engine import archive_pieces
from ansible_collections.fleetops.celery.plugins.module_utils._engine.archive import Archive
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import DatabaseError
from support.archives import lines
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database, PostgreSQL
from support.statements import at_each
from support.tables import Ago, create_processing_tasks, dump, fill
from support.tables.rows import DAY, processing_rows

RunModule = Callable[..., ModuleRun]
TABLE = "processing_tasks"
RULES = [{"name": "old", "older_than": "30d"}]
ROWS = 30_000
BATCH = 6_000  #: large enough for sessions that read
_EXPORT = "pg_export_snapshot"


@pytest.fixture
def database(postgresql: PostgreSQL) -> Iterator[Database]:
    made = postgresql.new_database()
    create_processing_tasks(made)
    spread = {"completed_at": Ago(90 * DAY, 40 * DAY)}
    fill(made, TABLE, [processing_rows(ROWS, "SUCCESS", **spread), processing_rows(50, "SUCCESS", days=1)])
    made.execute(f"UPDATE {TABLE} SET error_message = 'as it was'")
    yield made
    made.drop()


def _purge(database: Database, folder: Path, **limits: Any) -> dict[str, Any]:
    archive = {"path": str(folder), "compression": "gzip"}
    return purge(database, RULES, profile=TABLE, archive=archive, batch_size=BATCH, **limits)


def _identifiers(rows: Any) -> Counter[int]:
    return Counter(int(row[0]) for row in rows)


def test_the_archive_has_what_was_deleted(database: Database, fork_module: RunModule, tmp_path: Path) -> None:
    before = dump(database)
    with at_each(_EXPORT, lambda _number: None) as said:
        result = _purge(database, tmp_path)
    assert sum(_EXPORT in text for text in said) == result["batches"] - 1 > 2, "for each batch but the first"
    assert (result["deleted"], database.count(TABLE), result["stopped"]) == (ROWS, 50, "drained")
    assert _identifiers(line[1:] for line in lines(tmp_path)) == _identifiers(before[TABLE]) - _identifiers(
        dump(database)[TABLE]
    )
    fork_module("results_restore", {"database_url": database.url, "path": str(tmp_path)})
    assert dump(database) == before


def test_the_next_batch_is_read_meanwhile(database: Database, tmp_path: Path) -> None:
    began, in_time = Event(), []

    def wait_for_the_next(number: int) -> None:
        if number == 1:
            in_time.append(began.wait(10))
        began.set()

    with at_each(_EXPORT, wait_for_the_next):
        result = _purge(database, tmp_path)
    assert in_time == [True]
    assert (result["deleted"], len(lines(tmp_path))) == (ROWS, ROWS)


@pytest.mark.parametrize("limits", [{"max_rows": 15_000}, {"pause": 0.01}])
def test_nothing_is_read_ahead_of_what_may_have_to_wait_or_not_be(
    database: Database, tmp_path: Path, limits: dict[str, Any]
) -> None:
    left = []
    with at_each(_EXPORT, lambda _number: left.append(database.count(TABLE))):
        result = _purge(database, tmp_path, **limits)
    assert len(left) > 1
    assert [before - after for before, after in pairwise(left)] == [BATCH] * (len(left) - 1)
    assert result["deleted"] == len(lines(tmp_path)) == limits.get("max_rows", ROWS)


def test_what_was_read_ahead_of_the_end_is_let_fall(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_pieces, "_MOST", 1)  # so that whoever is ahead waits
    stop = tmp_path / "stop"
    folder = tmp_path / "archive"
    folder.mkdir()
    with at_each(_EXPORT, lambda number: stop.touch() if number == 2 else None):
        result = _purge(database, folder, stop_file=str(stop))
    assert result["stopped"] == "stop_file"
    assert 0 < result["deleted"] == len(lines(folder)) == ROWS + 50 - database.count(TABLE) < ROWS


def test_what_was_foreseen_wrongly_is_not_archived(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    foresee = Archive.foresee

    def foresee_always_the_same(archive: Archive, table: Any, condition: Any) -> None:
        told.append(condition)
        foresee(archive, table, told[0])

    monkeypatch.setattr(Archive, "foresee", foresee_always_the_same)
    _purge(database, tmp_path)
    assert len(told) > 2
    archived = _identifiers(line[1:] for line in lines(tmp_path))
    assert (len(archived), max(archived.values())) == (ROWS, 1)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_row_that_changes_between_reading_and_deleting_is_archived_as_it_was_last(
    database: Database, tmp_path: Path, batch: int
) -> None:
    # Of the second batch, which the first snapshot is made for, or the third.
    first = batch * BATCH
    rows = database.execute(f"SELECT id FROM {TABLE} ORDER BY completed_at OFFSET {first} LIMIT 5")
    numbers = ", ".join(str(number) for (number,) in rows)

    def change(number: int) -> None:
        if number == batch:
            database.execute(f"UPDATE {TABLE} SET error_message = 'changed' WHERE id IN ({numbers})")

    with at_each(_EXPORT, change) as said:
        result = _purge(database, tmp_path)
    assert sum(_EXPORT in text for text in said) <= batch + 1 < result["batches"] - 1, "it goes on alone"
    assert (result["deleted"], database.count(TABLE)) == (ROWS, 50)
    archived = lines(tmp_path)
    assert max(_identifiers(line[1:] for line in archived).values()) == 1
    assert len(archived) == ROWS
    assert sum("changed" in line for line in archived) == 5


def test_a_row_that_a_trigger_keeps_is_not_archived(database: Database, tmp_path: Path) -> None:
    database.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF OLD.id % 1000 = 0 THEN RETURN NULL; END IF; RETURN OLD; END'"
    )
    database.execute(f"CREATE TRIGGER keep BEFORE DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION keep()")
    before = dump(database)
    with pytest.raises(DatabaseError, match="The server keeps"):
        _purge(database, tmp_path)
    kept = dump(database)
    assert len(lines(tmp_path)) == len(before[TABLE]) - len(kept[TABLE]) < ROWS
    assert _identifiers(line[1:] for line in lines(tmp_path)) == _identifiers(before[TABLE]) - _identifiers(kept[TABLE])


def test_a_server_without_a_second_connection_does(database: Database, tmp_path: Path) -> None:
    database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 1")
    with at_each(_EXPORT, lambda _number: None) as said:
        result = _purge(database, tmp_path)
    assert not [text for text in said if _EXPORT in text]
    assert (result["deleted"], len(lines(tmp_path))) == (ROWS, ROWS)


def test_a_locked_row_is_gone_around(database: Database, tmp_path: Path) -> None:
    oldest = database.scalar(f"SELECT id FROM {TABLE} ORDER BY completed_at OFFSET 15000 LIMIT 1")
    engine = database.engine()
    with engine.connect() as holder:
        holder.execute(sa.text(f"SELECT id FROM {TABLE} WHERE id = {oldest} FOR UPDATE"))
        result = _purge(database, tmp_path)
    engine.dispose()
    assert (result["deleted"], result["remaining"], result["stopped"]) == (ROWS - 1, 1, "gate")
    assert _identifiers(line[1:] for line in lines(tmp_path))[oldest] == 0
    assert max(_identifiers(line[1:] for line in lines(tmp_path)).values()) == 1
