# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether PostgreSQL can use a partial index for a rule: where what the rule asks implies the index's predicate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

#: Of an expression as the server writes it: a text, a cast, a quoted name, a word, anything else.
_TOKENS = re.compile(
    r"""'(?:[^']|'')*' | ::(?:"[^"]+"|[a-z0-9_. ]+)(?:\(\d+\))?(?:\[\])? | "(?:[^"]|"")+" | \w+ | [^\s\w]""", re.X
)


class Facts(NamedTuple):
    """What is true of each row that a rule takes."""

    column: str
    values: frozenset[str]  #: what the column may be, as literals: ``'STARTED'``, ``true``
    empty: frozenset[str]  #: columns that are NULL

    def imply(self, predicate: str) -> bool:
        """Whether they say at least what *predicate*, as the server writes it, says."""
        return all(self._imply(words) for words in _conjuncts(predicate))

    def _imply(self, words: list[str]) -> bool:
        column, rest = words[0], words[1:]
        if rest == ["IS", "NULL"]:
            return column in self.empty
        return column == self.column and self.values <= _allowed(rest)


def _conjuncts(predicate: str) -> Iterator[list[str]]:
    """Yield what AND joins, as words. Parentheses are left out: whatever they change is of no form that is known."""
    words: list[str] = []
    for token in [*_TOKENS.findall(predicate), "AND"]:
        if token == "AND":
            yield words or [""]
            words = []
        elif not token.startswith("::") and token not in "()":
            words.append(token[1:-1].replace('""', '"') if token.startswith('"') else token)


def _allowed(comparison: list[str]) -> frozenset[str]:
    """Return the literals that *comparison* lets a column be; none where it is something else."""
    if not comparison:
        return frozenset(["true"])
    if len(comparison) == 2 and comparison[0] == "=":
        return frozenset(comparison[1:])
    if comparison[:4] == ["=", "ANY", "ARRAY", "["] and comparison[-1] == "]" and set(comparison[5:-1:2]) <= {","}:
        return frozenset(comparison[4:-1:2])
    return frozenset()
