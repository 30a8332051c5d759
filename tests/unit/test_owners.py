# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process a STARTED row names: JSON and pickles are read, nothing is executed, anything else is unknown."""

from __future__ import annotations

import base64
import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fleetops.celery.plugins.module_utils._engine.owners import Owner, read_owner
from hypothesis import given, settings
from hypothesis import strategies as st

STARTED = {"pid": 4711, "hostname": "celery@3f2a9c0b1d4e"}
OWNER = Owner(4711, "3f2a9c0b1d4e")
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def in_base64(pickled: bytes) -> str:
    """As django-celery-results keeps a pickle."""
    return base64.b64encode(pickled).decode()


def test_json_is_read_as_text_and_as_bytes() -> None:
    assert read_owner(json.dumps(STARTED)) == OWNER
    assert read_owner(json.dumps(STARTED).encode()) == OWNER


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pid", [1, 255, 256, 65535, 65536, 4194304])
def test_pickles_are_read_as_text_and_as_bytes(protocol: int, pid: int) -> None:
    pickled = pickle.dumps({**STARTED, "pid": pid}, protocol)
    assert read_owner(pickled) == read_owner(in_base64(pickled)) == Owner(pid, OWNER.host)


class Malicious:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_executed(tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "trap"
    for value in (Malicious(trap), {**STARTED, "x": Malicious(trap)}, {"pid": Malicious(trap), "hostname": "a@b"}):
        pickled = pickle.dumps(value, protocol)
        assert read_owner(pickled) is None
        assert read_owner(in_base64(pickled)) is None
        assert not trap.exists()
    pickle.loads(pickled)
    assert trap.exists()


OTHER_VALUES: list[Any] = [
    None,
    17,
    "pid",
    [STARTED],
    {},
    {"pid": 1},
    {"hostname": "a@b"},
    {"pid": "1", "hostname": "a@b"},
    {"pid": 1, "hostname": None},
    {"pid": 1, "hostname": ["a@b"]},
    {"pid": 1.5, "hostname": "a@b"},
    {"pid": {"pid": 1}, "hostname": "a@b"},
    {"pid": 1, "hostname": "a@" + "b" * 5000},
]


@pytest.mark.parametrize("value", OTHER_VALUES, ids=lambda value: repr(value)[:40])
def test_other_values_are_unknown(value: Any) -> None:
    assert read_owner(json.dumps(value)) is None
    for protocol in PROTOCOLS:
        pickled = pickle.dumps(value, protocol)
        assert read_owner(pickled) is None
        assert read_owner(in_base64(pickled)) is None


def test_a_pickle_that_is_more_than_a_flat_dictionary_is_unknown() -> None:
    # A text that occurs twice is taken out of the pickle's memo.
    twice = {**STARTED, "again": STARTED["hostname"]}
    for value in ({**STARTED, "more": {}}, OrderedDict(STARTED), twice):
        assert read_owner(json.dumps(value)) == OWNER
        for protocol in PROTOCOLS:
            assert read_owner(pickle.dumps(value, protocol)) is None


BROKEN: list[Any] = [
    None,
    17,
    "",
    b"",
    "plain words",
    "gA==",
    b"\x80",
    b"\x80\x05}(\x8c\x03pid",
    pickle.dumps(STARTED)[:-1],
    pickle.dumps(STARTED)[:-2] + b".",
    "[" * 4000,
    '{"a":' * 800,
    '{"pid": Infinity, "hostname": "a@b"}',
    "pid: 1\nhostname: a",
    b"\x82\xa3pid\x01\xa8hostname\xa1a",
    STARTED,
]


@pytest.mark.parametrize("result", BROKEN, ids=lambda result: repr(result)[:40])
def test_what_is_broken_or_in_another_encoding_is_unknown(result: Any) -> None:
    assert read_owner(result) is None


@given(st.binary(max_size=80).map(lambda tail: b"\x80\x05" + tail) | st.binary(max_size=80))
@settings(max_examples=500)
def test_whatever_bytes_there_are_they_end_in_no_error(result: bytes) -> None:
    read_owner(result)
    read_owner(in_base64(result))
