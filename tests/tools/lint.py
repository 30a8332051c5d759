# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks that only read: style, types, documentation, changelog."""

from __future__ import annotations

import shutil
from pathlib import Path

import workspace
from environments import Environment
from steps import Log, Outcome

_PLUGINS = f"ansible_collections.{workspace.FULL_NAME}.plugins"
# The oldest Python that mypy still knows; ansible-test compiles and imports on older ones.
_TARGET = "3.10"


def _package() -> Path:
    """A folder in which the maintenance package looks as on a host, for it is put together from several."""
    place = workspace.BUILD / "package"
    shutil.rmtree(place, ignore_errors=True)
    for source in workspace.ROOT.glob("roles/*/files/celery_*/*.py"):
        target = place / source.parent.name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    (place / "celery_maintenance" / "engine").symlink_to(workspace.ROOT / "plugins" / "module_utils" / "_engine")
    return place


def python(environment: Environment, log: Log) -> Outcome:
    environ = environment.environ(workspace.link())
    package = _package()
    outcome = Outcome()
    outcome.add(log.run([environment.bin("ruff"), "check"], environ=environ).ok, "ruff check")
    mypy = environment.bin("mypy")
    # Each by the names under which it is imported; the link would be a second way to every file.
    for subject, path, arguments in (
        ("plugins", workspace.COLLECTIONS, ["--python-version", _TARGET, "-p", _PLUGINS]),
        *(
            (name, package, ["--python-version", _TARGET, "--no-warn-unused-ignores", "-p", name])
            for name in ("celery_maintenance", "celery_tracking")
            if (package / name).exists()
        ),
        (
            "tests/support",
            "tests:tests/tools",
            # The Django project runs in containers, with libraries that are in none of our environments.
            ["--no-warn-unused-ignores", "--exclude=/docker/project/", "tests/conftest.py", "tests/support"],
        ),
        ("tests/tools", workspace.ROOT / "tests" / "tools", ["tests/tools"]),
        (
            "tests/benchmark",
            f"tests/benchmark:tests:tests/tools:{workspace.COLLECTIONS}",
            ["--no-warn-unused-ignores", "tests/benchmark"],
        ),
    ):
        done = log.run([mypy, *arguments], environ={**environ, "MYPYPATH": str(path)})
        outcome.add(done.ok, f"mypy of {subject}")
    return outcome


def ansible(environment: Environment, log: Log) -> Outcome:
    place = workspace.copy("lint")
    environ = environment.environ(place.parents[2], home=workspace.HOME)
    outcome = Outcome()
    command = [environment.bin("ansible-lint"), "--offline", "--strict", "--nocolor"]
    done = log.run(command, environ=environ, cwd=place)
    outcome.add(done.ok, "ansible-lint")
    return outcome


def documentation(environment: Environment, log: Log) -> Outcome:
    place = workspace.copy("documentation")
    environ = environment.environ(place.parents[2], home=workspace.HOME)
    outcome = Outcome()
    done = log.run(
        [
            environment.bin("antsibull-docs"),
            "lint-collection-docs",
            "--plugin-docs",
            "--validate-collection-refs=all",
            "--disallow-unknown-collection-refs",
            "--check-extra-docs-refs",
            place,
        ],
        environ=environ,
        cwd=place,
    )
    outcome.add(done.ok, "antsibull-docs")
    changelog = environment.bin("antsibull-changelog")
    done = log.run([changelog, "lint"], environ=environ, cwd=place)
    outcome.add(done.ok, "antsibull-changelog lint")
    done = log.run([changelog, "lint-changelog-yaml", "changelogs/changelog.yaml"], environ=environ, cwd=place)
    outcome.add(done.ok, "antsibull-changelog lint-changelog-yaml")
    return outcome
