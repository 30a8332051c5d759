# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping the few rows that survive, in place of deleting the many that go.

The survivors are set aside, the table is emptied, and they are put back before its indexes are built again: one
transaction, under a lock that keeps everybody else out, and the space is returned with it. The table itself stays, and
with it its grants, keys, sequence and replication.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from .census import first_met
from .database import Database
from .libraries import sa
from .records import RecordTable
from .survivors import Survivors

FEW_SURVIVORS = 30  # percent; with more of them, deleting the others is as fast
FEWEST_ROWS = 50_000  # below that, deleting takes no longer than taking the lock may
_ASIDE = "fleetops_survivors"
_MEMORY = "64MB"  # what a server takes for building an index, too


class Rewrite:
    """One rewrite of *record*'s table.

    :param allowed: how long others may be locked out
    """

    def __init__(self, database: Database, record: RecordTable, allowed: timedelta) -> None:
        self._database = database
        self._record = record
        self._allowed = allowed.total_seconds()
        # Without the doubled % of a statement for the driver, which sa.text doubles itself.
        self._table = database.quote(record.table).replace("%%", "%")
        self._deadline = 0.0

    def hindrance(self) -> str | None:
        """Say why the table cannot be rewritten; ``None`` where it can."""
        if self._database.kind != "postgresql" or self._database.server_version() < (12,):
            return "only PostgreSQL, from version 12, can do it in one transaction"
        found = self._database.rows(
            sa.text(
                "SELECT NOT pg_has_role(c.relowner, 'USAGE'), "
                "NOT has_database_privilege(current_database(), 'TEMPORARY'), "
                "c.relkind <> 'r' OR c.relhassubclass OR c.relispartition OR c.relrowsecurity OR c.relhasrules, "
                "EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), "
                "EXISTS (SELECT FROM pg_constraint AS k WHERE k.confrelid = c.oid AND k.contype = 'f'), "
                "EXISTS (SELECT FROM pg_publication_tables AS s JOIN pg_publication AS p ON p.pubname = s.pubname "
                "JOIN pg_namespace AS n ON n.nspname = s.schemaname "
                "WHERE n.oid = c.relnamespace AND s.tablename = c.relname AND NOT p.pubtruncate) "
                "FROM pg_class AS c WHERE c.oid = to_regclass(:name)"
            ).bindparams(name=self._table)
        )[0]
        reasons = (
            "the user does not own the table",
            "the user may not make temporary tables",
            "it has partitions, row security or rules",
            "it has triggers",
            "foreign keys point at it",
            "a publication does not tell its subscribers of TRUNCATE",
        )
        return next((reason for reason, there in zip(reasons, found) if there), None)

    def run(self, survivors: Survivors, everything: bool) -> list[int]:
        """Keep only *survivors*; return how many rows went for each of their selections.

        :param everything: there are none
        :raises LockTimeoutError: when others hold the table; nothing was changed
        :raises StatementTimeoutError: when it takes longer than is allowed; nothing was changed
        """
        with self._database.transaction() as connection:
            # The first of all statements: what it sees is what the table holds once nobody else can change it.
            connection.execute(_text(f"LOCK TABLE {self._table} IN ACCESS EXCLUSIVE MODE"))
            self._deadline = time.monotonic() + self._allowed
            staying = 0 if everything else self._set_aside(connection, survivors)
            deleted = self._count(connection, survivors.going, staying)
            self._timed(connection, f"TRUNCATE TABLE {self._table}")
            if staying:
                self._put_back(connection)
            self._analyze(connection)
        return deleted

    def _count(self, connection: Any, conditions: Sequence[Any], staying: int) -> list[int]:
        self._set_timeout(connection)
        table = self._record.table
        # Without looking into the rows, which takes several times as long.
        going = int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()) - staying
        others: dict[int, int] = {}
        if len(conditions) > 1:
            self._set_timeout(connection)
            which = sa.select(first_met(conditions).label("which")).where(sa.or_(*conditions[1:])).subquery()
            counted = connection.execute(sa.select(which.c.which, sa.func.count()).group_by(which.c.which))
            others = {row[0]: int(row[1]) for row in counted if row[0] > 0}
        return [going - sum(others.values()), *(others.get(place, 0) for place in range(1, len(conditions)))]

    def _set_aside(self, connection: Any, survivors: Survivors) -> int:
        self._widen_memory(connection)
        self._timed(connection, f"CREATE TEMPORARY TABLE {_ASIDE} (LIKE {self._table}) ON COMMIT DROP")
        names = [column.name for column in self._record.table.c]
        self._set_timeout(connection)
        staying = sa.select(self._record.table).where(survivors.condition(connection))
        aside = sa.table(_ASIDE, *(sa.column(name) for name in names))
        return int(connection.execute(sa.insert(aside).from_select(names, staying)).rowcount)

    def _widen_memory(self, connection: Any) -> None:
        """Let the server keep the survivors in memory, as far as they fit."""
        with suppress(sa.exc.DBAPIError), connection.begin_nested():
            # It refuses in a session of a pooler's that has used temporary tables before.
            connection.execute(sa.select(sa.func.set_config("temp_buffers", _MEMORY, True)))

    def _put_back(self, connection: Any) -> None:
        indexes = self._indexes(connection)
        for drop, _make in indexes:
            self._timed(connection, drop)
        quote = connection.dialect.identifier_preparer.quote
        columns = ", ".join(quote(name).replace("%%", "%") for name in self._written_columns(connection))
        self._timed(
            connection,
            f"INSERT INTO {self._table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {_ASIDE}",
        )
        for _drop, make in indexes:
            self._timed(connection, make)

    def _written_columns(self, connection: Any) -> list[str]:
        """Return the columns that the server does not compute itself."""
        rows = connection.execute(
            sa.text(
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0 "
                "AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"
            ).bindparams(name=self._table)
        )
        return [str(row[0]) for row in rows]

    def _indexes(self, connection: Any) -> list[tuple[str, str]]:
        """Return how to drop and how to make again each index about which nothing but its definition is known."""
        rows = connection.execute(
            sa.text(
                "SELECT k.conname IS NOT NULL, quote_ident(n.nspname) || '.' || quote_ident(c.relname), "
                "pg_get_indexdef(i.indexrelid), quote_ident(k.conname), pg_get_constraintdef(k.oid) "
                "FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid "
                "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
                "LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid "
                "WHERE i.indrelid = to_regclass(:name) AND i.indisvalid AND NOT i.indisreplident "
                "AND NOT i.indisclustered AND c.reltablespace = 0 AND (k.oid IS NULL OR k.contype IN ('p', 'u')) "
                "AND obj_description(i.indexrelid, 'pg_class') IS NULL "
                "AND obj_description(k.oid, 'pg_constraint') IS NULL "
                "AND (k.oid IS NOT NULL OR NOT EXISTS "
                "(SELECT FROM pg_depend AS d WHERE d.refobjid = i.indexrelid)) "
                "ORDER BY k.contype NULLS LAST, c.relname"
            ).bindparams(name=self._table)
        )
        return [
            (
                f"ALTER TABLE {self._table} DROP CONSTRAINT {constraint}",
                f"ALTER TABLE {self._table} ADD CONSTRAINT {constraint} {constraint_definition}",
            )
            if constrains
            else (f"DROP INDEX {name}", definition)
            for constrains, name, definition, constraint, constraint_definition in rows
        ]

    def _analyze(self, connection: Any) -> None:
        """Tell the planner of the ages, which are others now; autovacuum sees to the rest, where nobody waits."""
        quote = connection.dialect.identifier_preparer.quote
        names = ", ".join(quote(one.name).replace("%%", "%") for one in self._record.age_columns)
        self._timed(connection, f"ANALYZE {self._table}" + (f" ({names})" if names else ""))

    def _timed(self, connection: Any, statement: str) -> None:
        self._set_timeout(connection)
        connection.execute(_text(statement))

    def _set_timeout(self, connection: Any) -> None:
        left = max(int((self._deadline - time.monotonic()) * 1000), 1)
        connection.execute(sa.select(sa.func.set_config("statement_timeout", str(left), True)))


def _text(statement: str) -> Any:
    # A colon would be taken for a parameter.
    return sa.text(statement.replace(":", "\\:"))
