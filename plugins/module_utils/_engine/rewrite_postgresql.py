# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping the few rows that survive on PostgreSQL, in place of deleting the many that go.

The survivors are set aside, the table is emptied, and they are put back before its indexes are built again: one
transaction, under a lock that keeps everybody else out, and the space is returned with it. The table itself stays, and
with it its grants, keys, sequence and replication.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import Any

from .columns import written_columns
from .libraries import sa
from .prefixed import prefixed
from .rewrite import Rewrite, plain, text
from .survivors import Survivors

_ASIDE = "fleetops_survivors"
_MEMORY = "128MB"  # twice what a server takes for building an index
_HELPED_FROM = 32 * 2**20  # bytes; the next process that helps to sort fewer takes longer to start than it saves
_SAMPLED = 10  # parts of the ages' histogram; autovacuum soon makes a finer one


class RewriteInPlace(Rewrite):
    """In one transaction: the table itself stays."""

    _deadline = 0.0

    def hindrance(self) -> str | None:
        found = self._database.rows(
            sa.text(
                "SELECT NOT pg_has_role(c.relowner, 'USAGE'), "
                "NOT has_database_privilege(current_database(), 'TEMPORARY'), "
                "c.relkind <> 'r' OR c.relhassubclass OR c.relispartition OR c.relrowsecurity OR c.relhasrules, "
                "EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), "
                "EXISTS (SELECT FROM pg_constraint AS k WHERE k.confrelid = c.oid AND k.contype = 'f'), "
                "EXISTS (SELECT FROM pg_publication_tables AS s JOIN pg_publication AS p ON p.pubname = s.pubname "
                "JOIN pg_namespace AS n ON n.nspname = s.schemaname "
                "WHERE n.oid = c.relnamespace AND s.tablename = c.relname "
                "AND NOT (p.pubinsert AND p.pubdelete AND p.pubtruncate)) "
                "FROM pg_class AS c WHERE c.oid = to_regclass(:name)"
            ).bindparams(name=self._table)
        )[0]
        reasons = (
            "the user does not own the table",
            "the user may not make temporary tables",
            "it has partitions, row security or rules",
            "it has triggers",
            "foreign keys point at it",
            # One that tells of no DELETE has subscribers that keep what is deleted here.
            "a publication of it does not tell its subscribers of INSERT, DELETE and TRUNCATE alike",
        )
        return next((reason for reason, there in zip(reasons, found) if there), None)

    def tidy(self) -> list[str]:
        return []  # a transaction leaves nothing

    def run(self, survivors: Survivors, everything: bool) -> list[int]:
        with self._database.transaction() as connection:
            # Whoever waits for this lock keeps everybody else waiting behind.
            self._deadline = time.monotonic() + self._allowed
            connection.execute(text(f"SET LOCAL statement_timeout = {self._left()}"))
            # The first of all that looks: what it sees is what the table holds once nobody else can change it.
            connection.execute(text(f"LOCK TABLE {self._table} IN ACCESS EXCLUSIVE MODE"))
            staying = 0 if everything else self._set_aside(connection, survivors)
            deleted = survivors.count_gone(partial(self._execute, connection), self._record.table, staying)
            # Those that are dropped before it are not emptied first.
            indexes = self._drop_indexes(connection) if staying else []
            self._timed(connection, f"TRUNCATE TABLE {self._table}")
            if staying:
                self._settle(connection)
                self._put_back(connection)
            for make in indexes:
                self._timed(connection, make)
            self._analyze(connection)
        return deleted

    def _set_aside(self, connection: Any, survivors: Survivors) -> int:
        self._widen_memory(connection)
        staying = sa.select(self._record.table).where(survivors.condition(connection))
        # So a table grows by many pages at a time, and not, as by INSERT, one by one.
        aside = prefixed(staying, f"CREATE TEMPORARY TABLE {_ASIDE} ON COMMIT DROP AS")
        return int(self._execute(connection, aside).rowcount)

    def _widen_memory(self, connection: Any) -> None:
        """Let the server keep the survivors in memory, as far as they fit."""
        with suppress(sa.exc.DBAPIError), connection.begin_nested():
            # It refuses in a session of a pooler's that has used temporary tables before.
            connection.execute(sa.select(sa.func.set_config("temp_buffers", _MEMORY, True)))

    def _settle(self, connection: Any) -> None:
        """Have the server take no more trouble, while others wait, than the few rows that stay repay."""
        connection.execute(
            sa.text(
                "SELECT set_config('min_parallel_table_scan_size', greatest(:helped_from, "
                "pg_size_bytes(current_setting('min_parallel_table_scan_size'))) / 1024 || 'kB', true), "
                "set_config('default_statistics_target', least(:sampled, "
                "CAST(current_setting('default_statistics_target') AS integer)) || '', true)"
            ).bindparams(helped_from=_HELPED_FROM, sampled=_SAMPLED)
        )

    def _put_back(self, connection: Any) -> None:
        quote = connection.dialect.identifier_preparer.quote
        table = self._record.table
        columns = ", ".join(plain(quote(name)) for name in written_columns(connection, table.name, table.schema))
        self._timed(
            connection,
            f"INSERT INTO {self._table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {_ASIDE}",
        )

    def _drop_indexes(self, connection: Any) -> list[str]:
        """Drop the indexes about which nothing but their definition is known; return how they are made again."""
        rows = connection.execute(
            sa.text(
                "SELECT k.oid IS NOT NULL, "
                "coalesce(quote_ident(k.conname), quote_ident(n.nspname) || '.' || quote_ident(c.relname)), "
                "coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(i.indexrelid)) "
                "FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid "
                "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
                "LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid "
                "WHERE i.indrelid = to_regclass(:name) AND i.indisvalid AND NOT i.indisreplident "
                "AND NOT i.indisclustered AND c.reltablespace = 0 AND (k.oid IS NULL OR k.contype IN ('p', 'u')) "
                # A constraint's definition does not tell how full its index's pages are to be, nor an index's what
                # statistics of an expression are to be kept.
                "AND (k.oid IS NULL OR c.reloptions IS NULL) "
                "AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attstattarget >= 0) "
                "AND obj_description(i.indexrelid, 'pg_class') IS NULL "
                "AND obj_description(k.oid, 'pg_constraint') IS NULL "
                # A view that groups by a primary key needs that very constraint; the index is a part of it itself.
                "AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_constraint'::regclass "
                "AND d.refobjid = k.oid AND d.deptype <> 'i') "
                "AND (k.oid IS NOT NULL OR NOT EXISTS "
                "(SELECT FROM pg_depend AS d WHERE d.refobjid = i.indexrelid)) "
                "ORDER BY k.contype NULLS LAST, c.relname"
            ).bindparams(name=self._table)
        ).all()
        constraints = [(name, definition) for constrains, name, definition in rows if constrains]
        others = [(name, definition) for constrains, name, definition in rows if not constrains]
        makes = [definition for _name, definition in others]
        if constraints:
            drop = ", ".join(f"DROP CONSTRAINT {name}" for name, _definition in constraints)
            self._timed(connection, f"ALTER TABLE {self._table} {drop}")
            add = ", ".join(f"ADD CONSTRAINT {name} {definition}" for name, definition in constraints)
            makes.insert(0, f"ALTER TABLE {self._table} {add}")
        if others:
            self._timed(connection, "DROP INDEX " + ", ".join(name for name, _definition in others))
        return makes

    def _analyze(self, connection: Any) -> None:
        """Tell the planner of the ages, which are others now; autovacuum sees to the rest, where nobody waits."""
        quote = connection.dialect.identifier_preparer.quote
        names = ", ".join(plain(quote(one.name)) for one in self._record.age_columns)
        self._timed(connection, f"ANALYZE {self._table}" + (f" ({names})" if names else ""))

    def _timed(self, connection: Any, statement: str) -> None:
        self._execute(connection, text(statement))

    def _execute(self, connection: Any, statement: Any) -> Any:
        connection.execute(sa.select(sa.func.set_config("statement_timeout", str(self._left()), True)))
        return connection.execute(statement)

    def _left(self) -> int:
        """Return how many milliseconds others may still be locked out; zero would be for ever."""
        return max(int((self._deadline - time.monotonic()) * 1000), 1)
