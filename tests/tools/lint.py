# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks that only read: style, types, documentation, changelog."""

from __future__ import annotations

import workspace
from environments import Environment
from steps import Log, Outcome

_ENGINE = f"ansible_collections.{workspace.FULL_NAME}.plugins.module_utils._engine"


def python(environment: Environment, log: Log) -> Outcome:
    environ = environment.environ(workspace.link())
    outcome = Outcome()
    done = log.run([environment.bin("ruff"), "check"], environ=environ)
    outcome.add(done.ok, "ruff check")
    # The link is a second way to every file; mypy is to know the engine by its collection name only.
    environ["MYPYPATH"] = str(workspace.COLLECTIONS)
    done = log.run([environment.bin("mypy"), "-p", _ENGINE], environ=environ, cwd=workspace.ROOT)
    outcome.add(done.ok, "mypy of the engine")
    environ["MYPYPATH"] = str(workspace.ROOT / "tests" / "tools")
    done = log.run([environment.bin("mypy"), "tests/tools"], environ=environ)
    outcome.add(done.ok, "mypy of the tools")
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
