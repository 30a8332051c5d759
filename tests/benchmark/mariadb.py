# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The purge on MariaDB: against one raw DELETE, against Percona's pt-archiver, and into an archive."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import archives
import contest
import records
import sqlalchemy as sa
import ways
from programs import Measured
from records import DAYS, TABLE
from report import Line, Target, seconds
from server import QUARTER_OF_MEMORY
from sqlalchemy.engine import make_url
from support.missing import MissingPart
from support.servers import Database, MariaDB
from support.servers.processes import give_to_service
from support.tables import create_django_celery_results

_RAW = Target(at_most=1.5)
_PT_ARCHIVER = Target(at_least=1.4)
_OPTIONS = (
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-doublewrite=1",
    f"--innodb-buffer-pool-size={QUARTER_OF_MEMORY}",
    # No checkpoint presses beside a measurement.
    "--innodb-log-file-size=2G",
)


class DurableMariaDB(MariaDB):
    """One that loses nothing in a crash, and copies tables as files."""

    def __init__(self) -> None:
        super().__init__(_OPTIONS)
        self._empty = self.new_database()
        create_django_celery_results(self._empty, records.VERSION)

    @contextmanager
    def copy(self, template: Database) -> Iterator[Database]:
        database = self.new_database(self._empty)
        source, target = f"{template.name}.{TABLE}", f"{database.name}.{TABLE}"
        with self._connect() as connection:
            connection.execute(sa.text(f"ALTER TABLE {target} DISCARD TABLESPACE"))
            connection.execute(sa.text(f"FLUSH TABLES {source} FOR EXPORT"))
            for ending in ("ibd", "cfg"):
                there, here = (self.folder / "data" / one.name / f"{TABLE}.{ending}" for one in (template, database))
                shutil.copyfile(there, here)
                give_to_service(here)
            connection.execute(sa.text("UNLOCK TABLES"))
            connection.execute(sa.text(f"ALTER TABLE {target} IMPORT TABLESPACE"))
            connection.execute(sa.text(f"ANALYZE TABLE {target}"))
        try:
            # Read once, so that no way has to; the index too.
            database.execute(f"SELECT max(length(result)) FROM {TABLE} FORCE INDEX (PRIMARY)")
            database.execute(f"SELECT count(date_done) FROM {TABLE}")
            yield database
        finally:
            database.drop()

    def version(self) -> str:
        return str(self._empty.scalar("SELECT version()"))


def purging(server: DurableMariaDB, template: Database, rows: int, rounds: int) -> Iterator[Line]:
    contestants = {"purge": ways.purge, "raw DELETE": _raw_delete, "zstd": archives.into_archive("zstd")}
    try:
        contestants["pt-archiver"] = _PtArchiver()
    except MissingPart as missing:
        print(f"  without pt-archiver: {missing}", flush=True)
    measured = contest.measure(server, template, contestants, rounds)
    half = f"half of {rows:,} rows on MariaDB"
    ours = measured["purge"]
    for what, value, against, other, target in (
        (f"purge, {half}", "purge", "raw DELETE", "raw DELETE", _RAW),
        (f"pt-archiver, {half}", "pt-archiver", "purge", "purge", _PT_ARCHIVER),
        (f"purge into zstd, {half}", "zstd", "without an archive", "purge", archives.NO_MORE_THAN),
    ):
        if value in measured:
            mine, theirs = measured[value].seconds, measured[other].seconds
            yield Line(what, seconds(mine), against, seconds(theirs), mine / theirs, target)
    yield Line(
        f"its longest transaction, {half}",
        seconds(ours.longest),
        "the limit",
        "0.500 s",
        ours.longest / 0.5,
        Target(at_most=1),
    )


def _cutoff() -> str:
    return f"{datetime.now(timezone.utc) - timedelta(days=DAYS / 2):%Y-%m-%d %H:%M:%S}"


def _raw_delete(database: Database) -> Measured:
    engine = database.engine()
    with engine.connect() as connection:
        began = time.perf_counter()
        with connection.begin():
            done = connection.execute(sa.text(f"DELETE FROM {TABLE} WHERE date_done < :cutoff"), {"cutoff": _cutoff()})
        elapsed = time.perf_counter() - began
    engine.dispose()
    return Measured(elapsed, done.rowcount, elapsed)


class _PtArchiver:
    """Percona's tool, at the options by which it is fastest."""

    def __init__(self) -> None:
        self._program = shutil.which("pt-archiver")
        if self._program is None:
            raise MissingPart("tests/tools/install_parts installs it, with percona-toolkit")

    def __call__(self, database: Database) -> Measured:
        before = database.count(TABLE)
        # What it takes to start is not part of the measure, as with the other programs.
        idle = self._run(database, "date_done < '1970-01-01'")
        elapsed = self._run(database, f"date_done < '{_cutoff()}'") - idle
        return Measured(elapsed, before - database.count(TABLE), elapsed)

    def _run(self, database: Database, where: str) -> float:
        url = make_url(database.url)
        with tempfile.TemporaryDirectory() as folder:
            # Not on the command line, for it holds the password.
            settings = Path(folder, "client.cnf")
            settings.touch(mode=0o600)
            settings.write_text(
                f'[client]\nhost={url.host}\nport={url.port}\nuser={url.username}\npassword="{url.password}"\n'
            )
            began = time.perf_counter()
            done = subprocess.run(
                [str(self._program), "--source", f"F={settings},D={database.name},t={TABLE}", "--where", where]
                + ["--purge", "--bulk-delete", "--commit-each", "--limit", "20000", "--no-check-charset"],
                capture_output=True,
                text=True,
                check=False,
            )
            elapsed = time.perf_counter() - began
        if done.returncode != 0:
            raise RuntimeError(f"pt-archiver failed: {done.stdout}{done.stderr}")
        return elapsed
