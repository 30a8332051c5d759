# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role documents, what it defaults to and what its README says are one and the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import role_readme
import yaml

ROOT = Path(__file__).resolve().parents[2]

_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "dict": (dict,),
    "float": (int, float),
    "int": (int,),
    "list": (list,),
    "path": (str,),
    "raw": (object,),
    "str": (str,),
}


def _roles() -> list[Path]:
    return sorted(file.parent for file in ROOT.glob("roles/*/tasks"))


@pytest.fixture(params=_roles(), ids=lambda role: role.name)
def role(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def _options(role: Path) -> dict[str, Any]:
    """Of every entry point."""
    entries = role_readme.specifications(role).values()
    return {name: option for entry in entries for name, option in (entry.get("options") or {}).items()}


def _defaults(role: Path) -> dict[str, Any]:
    file = role / "defaults" / "main.yml"
    return (yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None) or {}


def test_defaults_are_the_documented_ones(role: Path) -> None:
    documented = {name: option["default"] for name, option in _options(role).items() if "default" in option}
    assert _defaults(role) == documented


def test_a_default_has_the_type_that_is_documented(role: Path) -> None:
    for name, option in _options(role).items():
        default = option.get("default")
        if default is None or (isinstance(default, str) and "{{" in default):
            continue
        kind = option.get("type", "str")
        assert isinstance(default, _TYPES[kind]), f"{name} is no {kind}: {default!r}"
        assert kind == "bool" or not isinstance(default, bool), f"{name} is no {kind}: {default!r}"
        chosen = default if isinstance(default, list) else [default]
        assert all(item in option.get("choices", chosen) for item in chosen), (
            f"{name} is none of its choices: {default!r}"
        )


def test_every_variable_is_described(role: Path) -> None:
    for name, option in _options(role).items():
        assert option.get("description"), f"{name} has no description"
        assert option.get("type"), f"{name} has no type"


def test_the_readme_is_made_from_the_specification(role: Path) -> None:
    text = (role / "README.md").read_text(encoding="utf-8")
    assert text == role_readme.readme(role), "out of date: make docs"
