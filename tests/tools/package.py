# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tarball: what is in it, and that it works where nothing else of the checkout is."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import workspace
from environments import Environment
from steps import Done, Log, Outcome

_CONTENT = {
    "CHANGELOG.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "changelogs",
    "docs",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}
_OPTIONAL = {"docs"}


_TARGET = workspace.BUILD / "installed"


@dataclass(frozen=True)
class _Installed:
    """The collection as a user has it, under one ansible-core."""

    environment: Environment
    core: str

    @property
    def place(self) -> Path:
        return _TARGET / "ansible_collections" / workspace.NAMESPACE / workspace.NAME

    def run(self, log: Log, tool: str, *arguments: str) -> Done:
        environ = self.environment.environ(_TARGET, home=workspace.HOME)
        return log.run([self.environment.bin(tool), *arguments], environ=environ, cwd=workspace.BUILD)


def _build(environment: Environment, log: Log, outcome: Outcome) -> Path | None:
    place = workspace.copy("package")
    target = workspace.BUILD / "dist"
    shutil.rmtree(target, ignore_errors=True)
    galaxy = environment.bin("ansible-galaxy")
    environ = environment.environ(place.parents[2], home=workspace.HOME)
    log.run([galaxy, "collection", "build", "--output-path", target], environ=environ, cwd=place)
    built = next(target.glob("*.tar.gz"), None)
    outcome.add(built is not None, "ansible-galaxy collection build")
    if built:
        with tarfile.open(built) as tarball:
            content = {name.split("/")[0] for name in tarball.getnames()}
        surplus, lacking = sorted(content - _CONTENT), sorted(_CONTENT - _OPTIONAL - content)
        outcome.add(not surplus, f"the tarball holds {', '.join(surplus)}")
        outcome.add(not lacking, f"the tarball lacks {', '.join(lacking)}")
    return built


def _names(files: Iterable[Path]) -> list[str]:
    return [f"{workspace.FULL_NAME}.{file.stem}" for file in sorted(files) if file.stem != "__init__"]


def _documentation(installed: _Installed, log: Log, outcome: Outcome) -> None:
    """ansible-doc reads every module and every role."""
    modules = _names(installed.place.glob("plugins/modules/*.py"))
    roles = _names(file.parents[1] for file in installed.place.glob("roles/*/meta/argument_specs.yml"))
    outcome.add(bool(modules), "the collection has no module")
    for kind, names in (("module", modules), ("role", roles)):
        for name in names:
            done = installed.run(log, "ansible-doc", "--type", kind, "--json", name)
            outcome.add(done.ok and f'"{name}"' in done.output, f"ansible-doc {name}, ansible-core {installed.core}")


def _playbooks(installed: _Installed, log: Log, outcome: Outcome) -> None:
    for name in _names(installed.place.glob("playbooks/*.yml")):
        done = installed.run(log, "ansible-playbook", "--syntax-check", "--inventory", "localhost,", name)
        outcome.add(done.ok, f"ansible-playbook --syntax-check {name}, ansible-core {installed.core}")


def run(environments: Sequence[Environment], log: Log) -> Outcome:
    outcome = Outcome()
    tarball = _build(environments[0], log, outcome)
    if not tarball:
        return outcome
    for environment in environments:
        shutil.rmtree(_TARGET, ignore_errors=True)
        installed = _Installed(environment, environment.core(log))
        arguments = ("collection", "install", "--offline", "--collections-path", str(_TARGET), str(tarball))
        done = installed.run(log, "ansible-galaxy", *arguments)
        outcome.add(done.ok, f"ansible-galaxy collection install, ansible-core {installed.core}")
        _documentation(installed, log, outcome)
        _playbooks(installed, log, outcome)
    return outcome
