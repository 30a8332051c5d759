# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tarball: what is in it, and that it works where nothing else of the checkout is."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import workspace
from environments import Environment
from steps import Log, Outcome

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
            surplus = {name.split("/")[0] for name in tarball.getnames()} - _CONTENT
        outcome.add(not surplus, f"the tarball holds {', '.join(sorted(surplus))}")
    return built


def run(environments: list[Environment], log: Log) -> Outcome:
    outcome = Outcome()
    tarball = _build(environments[0], log, outcome)
    if not tarball:
        return outcome
    installed = workspace.BUILD / "installed"
    for environment in environments:
        shutil.rmtree(installed, ignore_errors=True)
        environ = environment.environ(installed, home=workspace.HOME)
        core = environment.core(log)
        command = [environment.bin("ansible-galaxy"), "collection", "install", "--offline"]
        done = log.run([*command, "--collections-path", installed, tarball], environ=environ, cwd=workspace.BUILD)
        outcome.add(done.ok, f"ansible-galaxy collection install, ansible-core {core}")
        place = installed / "ansible_collections" / workspace.NAMESPACE / workspace.NAME
        _modules(environment, environ, place, log, outcome, core)
        _playbooks(environment, environ, place, log, outcome, core)
    return outcome


def _names(folder: Path, pattern: str) -> list[str]:
    return [f"{workspace.FULL_NAME}.{file.stem}" for file in sorted(folder.glob(pattern)) if file.stem != "__init__"]


def _modules(
    environment: Environment, environ: dict[str, str], place: Path, log: Log, outcome: Outcome, core: str
) -> None:
    for name in _names(place / "plugins" / "modules", "*.py"):
        done = log.run(
            [environment.bin("ansible-doc"), "--type", "module", "--json", name], environ=environ, cwd=workspace.BUILD
        )
        outcome.add(done.ok and '"options"' in done.output, f"ansible-doc {name}, ansible-core {core}")


def _playbooks(
    environment: Environment, environ: dict[str, str], place: Path, log: Log, outcome: Outcome, core: str
) -> None:
    for name in _names(place / "playbooks", "*.yml"):
        done = log.run(
            [environment.bin("ansible-playbook"), "--syntax-check", "--inventory", "localhost,", name],
            environ=environ,
            cwd=workspace.BUILD,
        )
        outcome.add(done.ok, f"ansible-playbook --syntax-check {name}, ansible-core {core}")
