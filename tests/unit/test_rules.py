# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules as they are written, and what is wrong with those that are refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.errors import UsageError
from ansible_collections.fleetops.celery.plugins.module_utils._engine.followers import age_of_followers
from ansible_collections.fleetops.celery.plugins.module_utils._engine.rules import parse_purge_rules, parse_zombie_rules


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"older_than": "7d"}, "SUCCESS, FAILURE, REVOKED older than 7d"),
        ({"statuses": ["revoked"]}, "REVOKED at any age"),
        ({"statuses": ["*"], "older_than": "30d"}, "any status older than 30d"),
        ({"statuses": ["Failure"], "tasks": ["a", "b"]}, "FAILURE of tasks containing a, b at any age"),
        ({"tasks": ["a"], "match": "exact"}, "SUCCESS, FAILURE, REVOKED of tasks named a at any age"),
        (
            {"statuses": ["FAILURE"], "tasks": ["a*"], "match": "glob", "older_than": "24h"},
            "FAILURE of tasks matching a* older than 24h",
        ),
        ({"keep_last": 3}, "SUCCESS, FAILURE, REVOKED at any age beyond the newest 3 of each task"),
        ({"all": True}, "every row"),
        ({"older_than": "1w", "all": False}, "SUCCESS, FAILURE, REVOKED older than 7d"),
    ],
)
def test_a_purge_rule_says_what_it_does(document: dict[str, Any], words: str) -> None:
    (rule,) = parse_purge_rules([document])
    assert rule.describe() == rule.name == words
    (named,) = parse_purge_rules([{**document, "name": "mine"}])
    assert (named.name, named.describe()) == ("mine", words)


@pytest.mark.parametrize(
    ("documents", "wrong"),
    [
        ([], "empty list"),
        ({}, "must be a list"),
        ("older_than: 7d", "must be a list"),
        (None, "must be a list"),
        (["7d"], "rule 1 must be a dictionary"),
        ([{}], "rule 1: says nothing"),
        ([{"name": "x"}], "rule x: says nothing"),
        ([{"older_than": "7d"}, {"older": "7d"}], "rule 2: unknown key older; known are name, statuses"),
        ([{"older_than": "-7d"}], "rule 1: older_than: '-7d' is not a duration"),
        ([{"older_than": 7}], "rule 1: older_than: 7 is not a duration"),
        ([{"older_than": ""}], "older_than"),
        ([{"statuses": []}], "statuses must be a list with at least one"),
        ([{"statuses": "SUCCESS"}], "statuses must be a list"),
        ([{"statuses": [""]}], "statuses must be text that is not empty"),
        ([{"statuses": [None]}], "statuses must be text"),
        ([{"tasks": []}], "tasks must be a list with at least one"),
        ([{"tasks": [""]}], "tasks must be text that is not empty"),
        ([{"tasks": ["a"], "match": "regex"}], "match 'regex' is unknown; use contains, exact, glob"),
        ([{"older_than": "7d", "match": "glob"}], "match needs tasks"),
        ([{"keep_last": 0}], "keep_last must be a whole number from 1"),
        ([{"keep_last": -1}], "keep_last"),
        ([{"keep_last": True}], "keep_last"),
        ([{"keep_last": "3"}], "keep_last"),
        ([{"all": "yes"}], "all must be true or false"),
        ([{"all": False}], "says nothing"),
        ([{"all": True, "older_than": "7d"}], "goes with no other condition"),
        ([{"all": True, "keep_last": 1}], "goes with no other condition"),
        ([{"older_than": "7d"}, {"older_than": "7d"}], "Two rules are called"),
        ([{"older_than": "7d", "name": "a"}, {"older_than": "8d", "name": "a"}], "Two rules are called 'a'"),
    ],
)
def test_a_wrong_purge_rule_is_told(documents: object, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        parse_purge_rules(documents)


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({"older_than": "1h"}, "statuses must name"),
        ({"statuses": ["*"], "older_than": "1h"}, "statuses must name"),
        ({"statuses": ["STARTED"]}, "older_than is missing"),
        ({"statuses": ["STARTED"], "older_than": "1h", "since": "finished"}, "since 'finished' is unknown"),
        ({"statuses": ["STARTED"], "older_than": "1h", "set_status": "started"}, "one of the rule's statuses"),
        ({"statuses": ["STARTED"], "older_than": "1h", "set_status": ""}, "set_status must be text"),
        ({"statuses": ["STARTED"], "older_than": "1h", "reason": 5}, "reason must be text"),
        ({"statuses": ["STARTED"], "older_than": "1h", "tasks": ["a"]}, "unknown key tasks"),
    ],
)
def test_a_wrong_zombie_rule_is_told(document: dict[str, Any], wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        parse_zombie_rules([document])


@pytest.mark.parametrize(
    ("documents", "days"),
    [
        ([{"older_than": "7d"}], 7),
        ([{"older_than": "7d"}, {"statuses": ["REVOKED"]}], 7),
        ([{"statuses": ["SUCCESS"], "older_than": "30d"}, {"statuses": ["FAILURE"], "older_than": "7d"}], 30),
        ([{"older_than": "30d"}, {"statuses": ["*"], "older_than": "7d"}], 7),
        # Their tasks may still run.
        ([{"statuses": ["SUCCESS", "FAILURE"]}], 1),
        ([{"older_than": "1h"}], 1),
        # These keep some finished records for ever.
        ([{"statuses": ["SUCCESS"], "older_than": "7d"}], None),
        ([{"tasks": ["a"], "older_than": "7d"}], None),
        ([{"keep_last": 1, "older_than": "7d"}], None),
    ],
)
def test_groups_follow_at_the_age_at_which_every_finished_record_has_gone(
    documents: list[dict[str, Any]], days: int | None
) -> None:
    expected = None if days is None else timedelta(days=days)
    assert age_of_followers(parse_purge_rules(documents)) == expected
