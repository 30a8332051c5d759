# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping the few rows that survive on MariaDB, in place of deleting the many that go.

The survivors are copied into a table of the same definition, and the two change names. Until then the table is as it
was, afterwards it is the copy, and in between nobody gets at it: it is locked, and whoever renames it is already the
first to wait for that lock when it is given up. An empty table in the old one's place, which goes last of all, keeps
that from happening where this side dies before its time.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from .columns import written_columns
from .database import Database
from .errors import CleanupError, DatabaseError, LockTimeoutError
from .libraries import sa
from .references import find_references
from .rewrite import Hindered, Rewrite, plain, text
from .survivors import Survivors

# Behind the table's own name, so that whoever renames them all asks for that table first.
_NEW, _OLD = "_fleetops_new", "_fleetops_old"
_LONGEST_NAME = 64
_POLL_SECONDS = 0.01
_POINTED_AT = "foreign keys point at it"
_NEEDED = ("SELECT", "INSERT", "CREATE", "DROP", "ALTER", "LOCK TABLES")


class RewriteBySwapping(Rewrite):
    """By a copy that takes the table's name."""

    _deadline = 0.0

    def hindrance(self) -> str | None:
        if len(self._record.table.name) + len(_NEW) > _LONGEST_NAME:
            return "its name is too long to name a copy after it"
        if find_references(self._database, [self._record.name]):
            return _POINTED_AT
        with self._database.transaction() as connection:
            return self._hindrance(connection)

    def _hindrance(self, connection: Any) -> str | None:
        found = connection.execute(
            sa.text(
                "SELECT t.table_type <> 'BASE TABLE' OR t.engine <> 'InnoDB', "
                "EXISTS (SELECT 1 FROM information_schema.triggers AS g "
                "WHERE g.event_object_schema = :space AND g.event_object_table = :name), "
                "EXISTS (SELECT 1 FROM information_schema.referential_constraints AS k "
                "WHERE k.constraint_schema = :space AND k.referenced_table_name = :name), "
                "EXISTS (SELECT 1 FROM information_schema.referential_constraints AS k "
                "WHERE k.constraint_schema = :space AND k.table_name = :name), "
                "EXISTS (SELECT 1 FROM information_schema.global_variables "
                "WHERE variable_name = 'WSREP_ON' AND variable_value = 'ON'), "
                "(SELECT count(DISTINCT p.privilege_type) FROM ("
                "SELECT grantee, privilege_type FROM information_schema.user_privileges UNION ALL "
                "SELECT grantee, privilege_type FROM information_schema.schema_privileges "
                "WHERE :space LIKE table_schema) AS p "
                "WHERE p.grantee = concat('''', replace(current_user(), '@', '''@'''), '''') "
                "AND p.privilege_type IN :needed) < :number "
                "FROM information_schema.tables AS t WHERE t.table_schema = :space AND t.table_name = :name"
            ).bindparams(
                sa.bindparam("needed", _NEEDED, expanding=True),
                number=len(_NEEDED),
                space=self._space(connection),
                name=self._record.table.name,
            )
        ).one()
        reasons = (
            "it is not a plain InnoDB table",
            "it has triggers",
            _POINTED_AT,
            "it has foreign keys, which a copy would lack",
            "a Galera cluster knows no locks on tables",
            "the user lacks one of the rights " + ", ".join(_NEEDED) + " on the database",
        )
        return next((reason for reason, there in zip(reasons, found) if there), None)

    def tidy(self) -> list[str]:
        with suppress(LockTimeoutError), self._database.transaction() as connection:
            if self._left(connection):
                with self._alone(connection):
                    left = self._left(connection)
                    self._drop(connection, *left)
                return left
        return []

    def run(self, survivors: Survivors, everything: bool) -> list[int]:
        deleted: list[int] = []
        try:
            with self._database.transaction() as connection, self._alone(connection):
                deleted = self._replace(connection, survivors, everything)
                self._drop(connection, *self._left(connection))
        except DatabaseError:
            if not deleted:
                raise
            # The rows have gone. What was their table is left for the next run's tidy.
        return deleted

    def _replace(self, connection: Any, survivors: Survivors, everything: bool) -> list[int]:
        new, old = self._named(_NEW), self._named(_OLD)
        try:
            connection.execute(text(f"CREATE TABLE {new} LIKE {self._table}"))
            connection.execute(text(f"CREATE TABLE {old} (placeholder INT)"))
            with self._locked(connection, self._table, new, old):
                deleted = self._fill(connection, survivors, everything)
                self._swap(connection)
        except BaseException:
            with suppress(sa.exc.SQLAlchemyError):
                self._drop(connection, *self._left(connection))
            raise
        return deleted

    def _fill(self, connection: Any, survivors: Survivors, everything: bool) -> list[int]:
        definition = self._definition(connection, self._table)
        if _shape(definition) != _shape(self._definition(connection, self._named(_NEW))):
            raise Hindered("CREATE TABLE … LIKE does not make the same table")
        hindrance = self._hindrance(connection)
        if hindrance:
            raise Hindered(hindrance)
        execute = partial(self._execute, connection)
        counter = re.search(r"\bAUTO_INCREMENT=(\d+)", definition.rpartition("\n)")[2])
        if counter:
            execute(text(f"ALTER TABLE {self._named(_NEW)} AUTO_INCREMENT = {counter.group(1)}"))
        staying = 0 if everything else self._copy(connection, survivors)
        deleted = survivors.count_gone(execute, self._record.table, staying)
        execute(text(f"ANALYZE TABLE {self._named(_NEW)}"))
        connection.execute(text("COMMIT"))
        return deleted

    def _copy(self, connection: Any, survivors: Survivors) -> int:
        table = self._record.table
        names = written_columns(connection, table.name, table.schema)
        columns: list[Any] = [sa.column(name) for name in names]
        staying = sa.select(*columns).select_from(table).where(survivors.condition(connection))
        new = sa.table(table.name + _NEW, *(sa.column(name) for name in names), schema=table.schema)
        return int(self._execute(connection, sa.insert(new).from_select(names, staying)).rowcount)

    def _swap(self, connection: Any) -> None:
        """Let another session wait for the table, to rename it, and make way."""
        failures: list[CleanupError] = []
        with self._database.another() as other:
            session = int(other.value(sa.select(sa.func.connection_id())))
            thread = threading.Thread(target=self._rename, args=(other, failures))
            thread.start()
            try:
                if self._is_waiting(connection, session, thread):
                    connection.execute(text(f"DROP TABLE {self._named(_OLD)}"))
            finally:
                connection.execute(text("UNLOCK TABLES"))
                thread.join()
        if failures:
            raise LockTimeoutError(f"The tables did not change names: {failures[0]}")

    def _rename(self, other: Database, failures: list[CleanupError]) -> None:
        new, old = self._named(_NEW), self._named(_OLD)
        try:
            with other.transaction() as connection:
                connection.execute(text(f"RENAME TABLE {self._table} TO {old}, {new} TO {self._table}"))
        except CleanupError as error:
            failures.append(error)

    def _is_waiting(self, connection: Any, session: int, thread: threading.Thread) -> bool:
        state = sa.text("SELECT state FROM information_schema.processlist WHERE id = :id").bindparams(id=session)
        while thread.is_alive():
            if connection.execute(state).scalar() == "Waiting for table metadata lock":
                return True
            if time.monotonic() > self._deadline:
                break
            time.sleep(_POLL_SECONDS)
        return False

    @contextmanager
    def _alone(self, connection: Any) -> Iterator[None]:
        """Keep other runs from the same table's copies; the lock goes with the session, however that ends."""
        name = sa.literal(f"fleetops.celery {self._space(connection)}.{self._record.table.name}")
        if not connection.execute(sa.select(sa.func.get_lock(name, 0))).scalar():
            raise LockTimeoutError("Another run rewrites the table.")  # and what is there is its own
        try:
            yield
        finally:
            with suppress(sa.exc.SQLAlchemyError):
                connection.execute(sa.select(sa.func.release_lock(name)))

    @contextmanager
    def _locked(self, connection: Any, *tables: str) -> Iterator[None]:
        mode = connection.execute(sa.select(sa.text("@@SESSION.sql_mode"))).scalar()
        # Whoever waits for this lock keeps everybody else waiting behind.
        self._deadline = time.monotonic() + self._allowed
        try:
            self._execute(connection, text("LOCK TABLES " + ", ".join(f"{table} WRITE" for table in tables)))
            # What is in the table is copied as it is: a number of 0, a date of zeros.
            connection.execute(text("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"))
            yield
        finally:
            with suppress(sa.exc.SQLAlchemyError):
                connection.execute(text("ROLLBACK"))
                connection.execute(text("UNLOCK TABLES"))
                connection.execute(
                    sa.text("SET SESSION sql_mode = :mode, max_statement_time = DEFAULT").bindparams(mode=mode)
                )

    def _execute(self, connection: Any, statement: Any) -> Any:
        left = max(self._deadline - time.monotonic(), 0.001)
        connection.execute(text(f"SET SESSION max_statement_time = {left:.3f}"))
        return connection.execute(statement)

    def _left(self, connection: Any) -> list[str]:
        """Return the names of this table's copies that are there."""
        names = [self._record.table.name + _NEW, self._record.table.name + _OLD]
        found = connection.execute(
            sa.text(
                "SELECT table_name FROM information_schema.tables "
                "WHERE table_schema = :space AND table_name IN :names ORDER BY table_name"
            ).bindparams(sa.bindparam("names", names, expanding=True), space=self._space(connection))
        )
        return [str(row[0]) for row in found]

    def _drop(self, connection: Any, *names: str) -> None:
        for name in names:
            connection.execute(text(f"DROP TABLE {self._named(name.removeprefix(self._record.table.name))}"))

    def _definition(self, connection: Any, table: str) -> str:
        return str(connection.execute(text(f"SHOW CREATE TABLE {table}")).one()[1])

    def _named(self, ending: str) -> str:
        table = self._record.table
        return plain(self._database.quote(sa.table(table.name + ending, schema=table.schema)))

    def _space(self, connection: Any) -> str:
        return str(self._record.table.schema or connection.execute(sa.select(sa.func.database())).scalar())


def _shape(definition: str) -> str:
    """Return a table's definition without its name, and without the number that the next row gets."""
    body, _end, options = definition.partition("(")[2].rpartition("\n)")
    return body + re.sub(r" AUTO_INCREMENT=\d+", "", options)
