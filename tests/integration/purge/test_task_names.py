# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Task names are text: no character in them is special, and case tells them apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.engine import purge
from support.running import ModuleRun
from support.servers import Database
from support.tables import create_django_celery_results, fill
from support.tables.rows import TASK_RESULT, task_results

NAMES = [
    "shop.tasks.add",
    "shop.tasks.Add",
    "shop_tasks_add",
    "100%",
    "100 percent",
    "[abc]",
    "a",
    "it's; DROP TABLE django_celery_results_taskresult; --",
    'say "so"',
    "back\\slash",
    "back\\\\slash",
    "wow!",
    "{{ braces }}",
    "%(name)s :name ?",
    "çafé.日本",
    "cafe",
    "emoji 🎉",
]


Expected = list[tuple[str, set[str]]]
CONTAINS: Expected = [
    ("%", {"100%", "%(name)s :name ?"}),
    ("_", {"shop_tasks_add", "it's; DROP TABLE django_celery_results_taskresult; --"}),
    ("[", {"[abc]"}),
    ("]", {"[abc]"}),
    ("'", {"it's; DROP TABLE django_celery_results_taskresult; --"}),
    ('"', {'say "so"'}),
    ("\\", {"back\\slash", "back\\\\slash"}),
    ("\\\\", {"back\\\\slash"}),
    ("!", {"wow!"}),
    ("*", set()),
    ("?", {"%(name)s :name ?"}),
    ("Add", {"shop.tasks.Add"}),
    ("CAFÉ", set()),
    ("é", {"çafé.日本"}),
    ("本", {"çafé.日本"}),
    ("🎉", {"emoji 🎉"}),
    ("{{", {"{{ braces }}"}),
]
GLOBS: Expected = [
    ("shop.tasks.*", {"shop.tasks.add", "shop.tasks.Add"}),
    ("shop?tasks?add", {"shop.tasks.add", "shop_tasks_add"}),
    ("*%", {"100%"}),
    ("[a-z]*", set()),
    ("[*]", {"[abc]"}),
    ("?af?.??", {"çafé.日本"}),
    ("????", {"100%", "cafe", "wow!"}),
    ("emoji ?", {"emoji 🎉"}),
    ("back\\slash", {"back\\slash"}),
    ("back*slash", {"back\\slash", "back\\\\slash"}),
    ("_hop*", set()),
]


def _named(database: Database) -> None:
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(1, task_name=name) for name in NAMES])


@pytest.fixture
def named(make_database: Callable[..., Database]) -> Database:
    return make_database(_named)


@pytest.fixture
def empty(make_database: Callable[..., Database]) -> Database:
    return make_database(create_django_celery_results)


def _gone(database: Database, task: str, match: str) -> set[str]:
    """Which names a rule takes; their rows are put back."""
    purge(database, [{"tasks": [task], "match": match}])
    gone = set(NAMES) - {name for (name,) in database.execute(f"SELECT task_name FROM {TASK_RESULT}")}
    if gone:
        fill(database, TASK_RESULT, [task_results(1, task_name=name) for name in sorted(gone)])
    return gone


def test_exact_takes_each_name_and_no_other(named: Database) -> None:
    for name in NAMES:
        assert _gone(named, name, "exact") == {name}


def test_contains_takes_the_text_as_it_is(named: Database) -> None:
    for part, gone in CONTAINS:
        assert _gone(named, part, "contains") == gone, part


def test_glob_knows_two_wildcards(named: Database) -> None:
    for pattern, gone in GLOBS:
        assert _gone(named, pattern, "glob") == gone, pattern


def test_several_tasks_of_one_rule_are_alternatives(named: Database) -> None:
    done = purge(named, [{"tasks": ["cafe", "100"], "older_than": "7d"}])
    assert done["deleted"] == 3


def test_a_module_takes_names_as_they_are(fork_module: Callable[..., ModuleRun], named: Database) -> None:
    rules = [{"tasks": [NAMES[7], "{{ braces }}", "%(name)s"], "match": "contains"}]
    done = fork_module("results_purge", {"database_url": named.url, "rules": rules})
    assert done["deleted"] == 3, done
    assert named.count(TASK_RESULT) == len(NAMES) - 3


def test_a_table_without_names_is_told_and_warned_of(fork_module: Callable[..., ModuleRun], empty: Database) -> None:
    fill(empty, TASK_RESULT, [task_results(5, task_name=None)])
    arguments = {"database_url": empty.url, "rules": [{"name": "frequent", "tasks": ["add"]}]}
    for check in (True, False):
        done = fork_module("results_purge", arguments, check=check)
        assert (done["changed"], done["matched"]) == (False, 0)
        assert "result_extended" in done["rules"][0]["note"]
        assert any("frequent cannot select by task" in str(warning) for warning in done["warnings"])
    assert any("result_extended" in line for line in done["report"])


def test_a_table_without_a_column_for_names_is_told_of(database: Database) -> None:
    columns = "id INTEGER PRIMARY KEY, task_id VARCHAR(50), status VARCHAR(50), date_done TIMESTAMP"
    database.execute(f"CREATE TABLE plain ({columns})")
    database.execute("INSERT INTO plain VALUES (1, 'a', 'SUCCESS', '2020-01-01 00:00:00')")
    done = purge(database, [{"tasks": ["add"]}], table="plain")
    assert done["matched"] == 0
    assert "result_extended" in done["rules"][0]["note"]


def test_an_empty_table_has_nothing_to_tell(empty: Database) -> None:
    done = purge(empty, [{"tasks": ["add"]}])
    assert done["rules"][0]["note"] is None
