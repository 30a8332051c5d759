# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random tables and random rules: what a purge leaves is what a few lines of plain Python say it leaves."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from support.engine import by_rule, purge
from support.servers import Database, DatabaseServer

TABLE = "made up % records"
KEYS = ("number", "text", "both", "none")
STATUSES = ("SUCCESS", "success", "Failure", "REVOKED", "STARTED", "running", None)
NAMES = (
    "shop.add",
    "shop.Add",
    "shop_add",
    "shop%add",
    "[shop]",
    'it\'s "so"; --',
    "back\\slash",
    "äöü.日本",
    "!",
    None,
)
# Ages in days, none near one of the rules' own; equal ones are equal to the microsecond.
AGES = (0.5, 3.0, 3.0, 10.0, 40.0, None)
LIMITS = (1, 5, 30)
TERMINAL = {"SUCCESS", "FAILURE", "REVOKED"}

Rule = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """A table of one of two profiles, with the columns that it has."""

    profile: str
    key: str
    name: bool
    finished: bool
    finished_may_be_empty: bool
    created_may_be_empty: bool
    indexed: bool

    @property
    def has_created(self) -> bool:
        return self.profile == "processing_tasks"


@dataclass(frozen=True)
class Case:
    shape: Shape
    rows: list[Row]
    rules: list[Rule]
    batch_size: int
    confirm: str | None = field(default=TABLE)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    profile = draw(st.sampled_from(["processing_tasks", "celery_database"]))
    key = draw(st.sampled_from(KEYS))
    # Without a key, a walk needs a date that every row has.
    whole = key == "none"
    return Shape(
        profile=profile,
        key=key,
        name=draw(st.booleans()),
        finished=profile == "celery_database" or (not whole and draw(st.booleans())),
        finished_may_be_empty=not whole and draw(st.booleans()),
        created_may_be_empty=not whole and draw(st.booleans()),
        indexed=draw(st.booleans()),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    ages = st.sampled_from(AGES)
    some_age = st.sampled_from([age for age in AGES if age is not None])
    row = st.fixed_dictionaries(
        {
            "status": st.sampled_from(STATUSES),
            "name": st.sampled_from(NAMES) if shape.name else st.none(),
            "finished": (ages if shape.finished_may_be_empty else some_age) if shape.finished else st.none(),
            "created": (ages if shape.created_may_be_empty else some_age) if shape.has_created else st.none(),
        }
    )
    rows = [{**made, "n": number} for number, made in enumerate(draw(st.lists(row, max_size=25)))]
    rules = draw(st.lists(purge_rules(shape), min_size=1, max_size=3))
    return Case(
        shape,
        rows,
        [{**rule, "name": f"rule {number}"} for number, rule in enumerate(rules)],
        draw(st.integers(1, 6)),
    )


@st.composite
def purge_rules(draw: st.DrawFn, shape: Shape) -> Rule:
    if draw(st.integers(0, 15)) == 0:
        return {"all": True}
    statuses = st.sampled_from(["SUCCESS", "failure", "Revoked", "STARTED", "RUNNING", "*", "UNHEARD_OF"])
    rule: Rule = {
        "statuses": draw(st.none() | st.lists(statuses, min_size=1, max_size=3)),
        "older_than": draw(st.none() | st.sampled_from([f"{days}d" for days in LIMITS])),
    }
    if draw(st.booleans()):
        match = draw(st.sampled_from(["contains", "exact", "glob"]))
        whole = [name for name in NAMES if name]
        choices = {
            "exact": whole,
            "contains": [*whole, "add", "_", "%", "[", "ü", "A", "\\", "'", "*", "?"],
            "glob": [*whole, "shop?add", "*add", "shop*", "*[sS]hop*", "??????", "*", "*ü.??", "%"],
        }[match]
        rule["tasks"] = draw(st.lists(st.sampled_from(choices), min_size=1, max_size=2))
        rule["match"] = match
    if shape.key in ("number", "text") and draw(st.booleans()):
        rule["keep_last"] = draw(st.integers(1, 3))
    if not any(rule.values()):
        rule["older_than"] = "5d"
    return {key: value for key, value in rule.items() if value is not None}


# What a purge should do, in plain Python.


def oracle(case: Case) -> tuple[list[int], list[int]]:
    """How many rows each rule deletes, and the numbers of those that stay."""
    chosen = [{row["n"] for row in _selected(rule, case.rows)} for rule in case.rules]
    first = [next((number for number, rows in enumerate(chosen) if row["n"] in rows), None) for row in case.rows]
    counts = [first.count(number) for number in range(len(case.rules))]
    return counts, [row["n"] for row, number in zip(case.rows, first, strict=True) if number is None]


def _selected(rule: Rule, rows: Sequence[Row]) -> list[Row]:
    if rule.get("all"):
        return list(rows)
    found = [row for row in rows if _in_status(rule, row) and _of_task(rule, row)]
    if "keep_last" in rule:
        kept: set[int] = set()
        for name in {row["name"] for row in found}:
            newest = sorted((row for row in found if row["name"] == name), key=_youth, reverse=True)
            kept |= {row["n"] for row in newest[: rule["keep_last"]]}
        found = [row for row in found if row["n"] not in kept]
    if "older_than" in rule:
        days = int(rule["older_than"].removesuffix("d"))
        found = [row for row in found if _age(row) is not None and _age(row) > days]
    return found


def _in_status(rule: Rule, row: Row) -> bool:
    wanted = {status.upper() for status in rule.get("statuses", TERMINAL)}
    return "*" in wanted or (row["status"] or "").upper() in wanted


def _of_task(rule: Rule, row: Row) -> bool:
    if "tasks" not in rule:
        return True
    name = row["name"]
    compare = {
        "exact": lambda task: name == task,
        "contains": lambda task: task in name,
        # In fnmatch a bracket is special, to us it is text.
        "glob": lambda task: re.match(fnmatch.translate(task.replace("[", "[[]")), name) is not None,
    }[rule["match"]]
    return name is not None and any(compare(task) for task in rule["tasks"])


def _age(row: Row) -> Any:
    return row["finished"] if row["finished"] is not None else row["created"]


def _youth(row: Row) -> tuple[bool, float, int]:
    age = _age(row)
    return age is not None, -(age or 0.0), row["n"]


# The same table in a database.


def _table(case: Case, kind: str) -> sa.Table:
    shape = case.shape
    # Where DATETIME is said to keep no fractions, ties are ties as well.
    date = sa.DateTime()
    keys = {
        "number": [sa.Column("id", sa.Integer, primary_key=True)],
        "text": [sa.Column("id", sa.String(36), primary_key=True)],
        "both": [
            sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("id", sa.String(36), primary_key=True),
        ],
        "none": [sa.Column("id", sa.String(36))],
    }
    columns = [*keys[shape.key], sa.Column("n", sa.Integer), sa.Column("status", sa.String(20))]
    if shape.profile == "celery_database":
        columns.append(sa.Column("task_id", sa.String(36)))
    if shape.name:
        columns.append(sa.Column("the name", sa.String(100)))
    if shape.finished:
        columns.append(sa.Column("finished", date, nullable=shape.finished_may_be_empty, index=shape.indexed))
    if shape.has_created:
        columns.append(sa.Column("created", date, nullable=shape.created_may_be_empty, index=shape.indexed))
    return sa.Table(TABLE, sa.MetaData(), *columns)


def _values(case: Case, row: Row, now: datetime) -> Row:
    key: Row = {"id": row["n"] + 1 if case.shape.key == "number" else f"{row['n']:036x}"}
    if case.shape.key == "both":
        key["shard"] = row["n"] % 3
    dates = {
        word: None if row[word] is None else now - timedelta(days=row[word])
        for word, there in (("finished", case.shape.finished), ("created", case.shape.has_created))
        if there
    }
    name = {"the name": row["name"]} if case.shape.name else {}
    task_id = {"task_id": str(row["n"])} if case.shape.profile == "celery_database" else {}
    return {**key, **dates, **name, **task_id, "n": row["n"], "status": row["status"]}


def _columns(case: Case) -> dict[str, str]:
    columns = {"finished": "finished"} if case.shape.finished else {}
    if case.shape.has_created:
        columns["created"] = "created"
    if case.shape.name:
        columns["task_name"] = "the name"
    return columns


def check_case(database: Database, case: Case) -> None:
    table = _table(case, database.kind)
    now = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    with database.begin() as connection:
        table.drop(connection, checkfirst=True)
        table.create(connection)
        if case.rows:
            connection.execute(table.insert(), [_values(case, row, now) for row in case.rows])
    counts, stay = oracle(case)
    note(f"expected: {counts}, staying: {stay}")
    options: dict[str, Any] = {
        "profile": case.shape.profile,
        "table": TABLE,
        "columns": _columns(case),
        "confirm": case.confirm,
        "batch_size": case.batch_size,
        # Counted one by one, a run without anything to do would take another way than it usually does.
        "by_status": False,
    }
    everything = [row["n"] for row in case.rows]

    plan = purge(database, case.rules, check=True, **options)
    assert [number for number, _deleted in by_rule(plan).values()] == counts
    assert _left(database, table) == everything

    done = purge(database, case.rules, **options)
    assert by_rule(done) == {f"rule {number}": (count, count) for number, count in enumerate(counts)}
    assert _left(database, table) == stay
    assert (done["stopped"], done["remaining"]) == ("drained", 0)
    # What check mode foretold is what came.
    assert (plan["matched"], plan["changed"]) == (done["deleted"], done["changed"])
    assert plan["after"]["total"] == done["after"]["total"] == len(stay)
    assert plan["after"]["by_status"] == done["after"]["by_status"]

    # What was kept as one of the newest is one of the newest still.
    again = purge(database, case.rules, **options)
    assert (again["matched"], again["changed"]) == (0, False)


def _left(database: Database, table: sa.Table) -> list[int]:
    return [number for (number,) in database.execute(sa.select(table.c.n).order_by(table.c.n))]


PROFILE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    # Explaining a failure takes minutes and tells little about code that mostly builds SQL.
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def database_of(request: pytest.FixtureRequest) -> Database:
    server: DatabaseServer = request.getfixturevalue(request.param)
    return server.new_database()


@settings(PROFILE, max_examples=200)
@given(case=cases())
@pytest.mark.parametrize("database_of", ["sqlite"], indirect=True)
def test_purge_on_sqlite_does_what_the_oracle_says(database_of: Database, case: Case) -> None:
    check_case(database_of, case)


@settings(PROFILE, max_examples=40)
@given(case=cases())
@pytest.mark.parametrize("database_of", ["postgresql", "mariadb"], indirect=True)
def test_purge_on_servers_does_what_the_oracle_says(database_of: Database, case: Case) -> None:
    check_case(database_of, case)
