# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes roles/<name>/README.md from roles/<name>/meta/argument_specs.yml; --check only compares."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "fleetops.celery"
_INLINE_DEFAULT = 60

_MARKUP = (
    (re.compile(r"\b[CV]\(((?:\\.|[^)\\])*)\)"), r"`\1`"),
    (re.compile(r"\bP\(([^)#]*)#\w+\)"), r"`\1`"),
    (re.compile(r"\b(?:O|RV|E|P)\(((?:\\.|[^)\\])*)\)"), r"`\1`"),
    (re.compile(r"\bM\(([^)]*)\)"), r"`\1`"),
    (re.compile(r"\bB\(([^)]*)\)"), r"**\1**"),
    (re.compile(r"\bI\(([^)]*)\)"), r"*\1*"),
    (re.compile(r"\bL\(([^,)]*),\s*([^)]*)\)"), r"[\1](\2)"),
    (re.compile(r"\bU\(([^)]*)\)"), r"<\1>"),
    (re.compile(r"\bHORIZONTALLINE\b"), "---"),
)

Option = Mapping[str, Any]


def roles() -> list[Path]:
    return sorted(file.parents[1] for file in ROOT.glob("roles/*/meta/argument_specs.yml"))


def specifications(role: Path) -> dict[str, Option]:
    """By entry point; ``main`` is what the role does by itself."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    entries: dict[str, Option] = dict(specs["argument_specs"])
    return entries


def markdown(text: str) -> str:
    """Ansible's markup as Markdown."""
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return re.sub(r"\\([)\\,])", r"\1", text)


def _paragraphs(text: str | list[str] | None) -> list[str]:
    return [markdown(part.strip()) for part in ([text] if isinstance(text, str) else text or [])]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _type(option: Option) -> str:
    kind = str(option.get("type", "str"))
    if kind == "list":
        return f"list of {option.get('elements', 'any')}"
    return kind


def _default(option: Option) -> str:
    if option.get("required"):
        return "**required**"
    if "default" not in option:
        return ""
    text = json.dumps(option["default"], ensure_ascii=False)
    return f"`{text}`" if len(text) <= _INLINE_DEFAULT else "see below"


def _meaning(option: Option) -> str:
    words = _paragraphs(option.get("description"))
    if "choices" in option:
        words.append("One of " + ", ".join(f"`{choice}`" for choice in option["choices"]) + ".")
    return " ".join(words)


def _table(options: Mapping[str, Option]) -> Iterator[str]:
    yield "| Variable | Type | Default | Meaning |"
    yield "| --- | --- | --- | --- |"
    for name, option in options.items():
        cells = (f"`{name}`", _type(option), _default(option), _meaning(option))
        yield "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _long_defaults(options: Mapping[str, Option]) -> Iterator[str]:
    for name, option in options.items():
        if _default(option) == "see below":
            text = yaml.safe_dump({name: option["default"]}, sort_keys=False, allow_unicode=True, width=100)
            yield from ("", f"The default of `{name}`:", "", "```yaml", text.rstrip("\n"), "```")


def _nested(options: Mapping[str, Option], outer: str) -> Iterator[str]:
    """A section for each variable that is a dictionary, or a list of them."""
    for name, option in options.items():
        inner = option.get("options")
        if inner:
            path = f"{outer}{name}[]" if option.get("type") == "list" else f"{outer}{name}"
            yield from ("", f"### `{path}`", "")
            yield from _table(inner)
            yield from _long_defaults(inner)
            yield from _nested(inner, f"{path}.")


def _example(name: str, options: Mapping[str, Option]) -> Iterator[str]:
    yield from ("## Example", "", "```yaml", "---", f"- name: {name.capitalize().replace('_', ' ')}")
    yield from ("  hosts: all", "  gather_facts: false", "  roles:", f"    - role: {COLLECTION}.{name}")
    needed = [key for key, option in options.items() if option.get("required")]
    if needed:
        yield "      vars:"
        yield from (f"        {key}: ..." for key in needed)
    yield "```"


def _entry_points(entries: Mapping[str, Option], known: Mapping[str, Option]) -> Iterator[str]:
    """A section for each other entry point, with the variables that only it takes."""
    for name, spec in entries.items():
        own = {key: option for key, option in (spec.get("options") or {}).items() if key not in known}
        yield from ("", f"## `{name}`", "", f"The playbook `{COLLECTION}.{name}` does this by `tasks_from: {name}`.")
        for paragraph in _paragraphs(spec.get("description")):
            yield from ("", paragraph)
        if own:
            yield ""
            yield from _table(own)
            yield from _long_defaults(own)
            yield from _nested(own, "")


def readme(role: Path) -> str:
    others = specifications(role)
    spec = others.pop("main")
    options: Mapping[str, Option] = spec.get("options") or {}
    lines = [
        "<!-- Made by `make docs` from meta/argument_specs.yml; change that file. -->",
        "",
        f"# {COLLECTION}.{role.name}",
        "",
        *_paragraphs(spec.get("short_description")),
    ]
    for paragraph in _paragraphs(spec.get("description")):
        lines += ["", paragraph]
    if options:
        lines += ["", "## Variables", "", *_table(options), *_long_defaults(options), *_nested(options, "")]
    lines += _entry_points(others, options)
    lines += ["", *_example(role.name, options), "", "## License", "", "GPL-3.0-or-later"]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a README is out of date")
    check = parser.parse_args().check
    stale = []
    for role in roles():
        target, text = role / "README.md", readme(role)
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        stale.append(target.relative_to(ROOT))
        if not check:
            target.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{path} is out of date: make docs" if check else f"{path} written")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
