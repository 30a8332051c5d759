# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `migrate` pulls with real Git, and what it has Compose do then; the containers are told by a stub."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from support.docker.engine_stub import EngineStub, describe
from support.running import PlaybookRun, run_playbook
from support.servers import Database
from support.tables import create_django_celery_beat

TOKEN = "t0p-secret"


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Tests", "-c", "user.email=tests@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _publish(folder: Path, word: str) -> str:
    """Commit another content of the application's file, and push it; the commit."""
    (folder / "shop" / "app.py").write_text(word, encoding="utf-8")
    _git(folder, "commit", "--all", "--message", word)
    _git(folder, "push", "origin", "HEAD")
    return _git(folder, "rev-parse", "HEAD")


@dataclass
class Deployment:
    """A project in a folder below its checkout, and a clone from which newer code is pushed."""

    scratch: Path

    def __post_init__(self) -> None:
        self.checkout, self.elsewhere = self.scratch / "checkout", self.scratch / "elsewhere"
        _git(self.scratch, "init", "--bare", "origin.git")
        _git(self.scratch, "clone", "origin.git", "elsewhere")
        (self.elsewhere / "shop").mkdir()
        (self.elsewhere / "shop" / "app.py").touch()
        (self.elsewhere / "shop" / "compose.yml").touch()
        _git(self.elsewhere, "add", ".")
        _git(self.elsewhere, "commit", "--message", "Begin")
        _git(self.elsewhere, "push", "origin", "HEAD")
        _git(self.scratch, "clone", "origin.git", "checkout")
        self.folder = self.checkout / "shop"
        self.use(describe("a" * 64, **self.worker("celery_worker")))

    def worker(self, service: str, **labels: str) -> dict[str, Any]:
        """The arguments that make a container's description that of the project's worker."""
        where = {"project.working_dir": str(self.folder), "service": service, **labels}
        return {"command": ["celery", "-A", "shop", "worker"], "image": "shop-worker", **where}

    def use(
        self,
        *containers: dict[str, Any],
        configured: dict[str, Any] | None = None,
        told: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        folder = self.scratch / "docker"
        folder.mkdir(exist_ok=True)
        self.engine = EngineStub(folder, *containers, told=told)
        (folder / "configured").write_text(json.dumps(configured or {}), encoding="utf-8")

    def run(
        self, *, check: bool = False, verbosity: int = 0, more: dict[str, Any] | None = None, **variables: Any
    ) -> PlaybookRun:
        """:param more: hosts beside the deployment's, with what sets them apart from it"""
        host = {
            "ansible_connection": "local",
            "celery_compose_project_dir": str(self.folder),
            "migrate_retire": False,
            "migrate_verify": False,
            **variables,
        }
        hosts = self.scratch / "hosts.json"
        others = {name: {**host, **differing} for name, differing in (more or {}).items()}
        hosts.write_text(json.dumps({"all": {"hosts": {**others, "shop": host}}}), encoding="utf-8")
        self.engine.asked()
        path = f"{self.scratch / 'docker'}{os.pathsep}{os.environ['PATH']}"
        return run_playbook(
            "fleetops.celery.migrate", hosts, {"migrate_serial": 2}, check, verbosity=verbosity, env={"PATH": path}
        )

    def changes(self, **variables: Any) -> int:
        done = self.run(**variables)
        assert done.exit_code == 0, done.output
        return done.recap["shop"]["changed"]

    def composed(self) -> list[str]:
        """What Compose was asked since the last run began."""
        return [call for call in self.engine.asked() if call.startswith("compose")]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


BUILT = [
    "compose --project-name shop build celery_worker",
    "compose --project-name shop up --detach --no-deps --wait --force-recreate celery_worker",
]


def test_newer_code_is_pulled_into_a_checkout_that_begins_above(deployment: Deployment) -> None:
    """Its first remote is another one, and its origin's address holds a secret, which is shown nowhere."""
    address = _git(deployment.checkout, "remote", "get-url", "origin")
    _git(deployment.checkout, "remote", "remove", "origin")
    _git(deployment.checkout, "remote", "add", "backup", "/nowhere")
    _git(deployment.checkout, "remote", "add", "origin", f"https://user:{TOKEN}@git.example.com/shop.git")
    _git(deployment.checkout, "config", f"url.{address}.insteadOf", f"https://user:{TOKEN}@git.example.com/shop.git")
    assert deployment.changes() == 0
    published = _publish(deployment.elsewhere, "newer")

    assert deployment.changes(check=True) > 0
    assert _git(deployment.checkout, "rev-parse", "HEAD") != published
    done = deployment.run(verbosity=3)
    assert (done.exit_code, done.recap["shop"]["changed"] > 0) == (0, True), done.output
    assert TOKEN not in done.output
    assert deployment.composed() == BUILT
    assert _git(deployment.checkout, "rev-parse", "HEAD") == published
    assert TOKEN in _git(deployment.checkout, "config", "remote.origin.url")
    assert deployment.changes() == 0


def test_commits_that_nobody_has_pushed_are_no_newer_code_and_are_not_lost(deployment: Deployment) -> None:
    (deployment.folder / "app.py").write_text("ours", encoding="utf-8")
    _git(deployment.checkout, "commit", "--all", "--message", "Ours")
    assert deployment.changes() == 0
    assert deployment.composed() == []
    _publish(deployment.elsewhere, "theirs")
    done = deployment.run()
    assert done.exit_code == 2
    assert "Not possible to fast-forward" in done.output
    assert deployment.composed() == []
    assert (deployment.folder / "app.py").read_text(encoding="utf-8") == "ours"


def test_a_version_is_checked_out(deployment: Deployment) -> None:
    first = _git(deployment.elsewhere, "rev-parse", "HEAD")
    _git(deployment.elsewhere, "tag", "--annotate", "--message", "The first", "v1.0")
    second = _publish(deployment.elsewhere, "second")
    _git(deployment.elsewhere, "push", "origin", "v1.0")
    _git(deployment.elsewhere, "checkout", "-b", "next")
    third = _publish(deployment.elsewhere, "third")
    for version, commit in (("main", second), ("v1.0", first), ("next", third), (second, second), (first[:8], first)):
        assert deployment.changes(migrate_version=version) > 0, version
        assert _git(deployment.checkout, "rev-parse", "HEAD") == commit
    assert deployment.changes(migrate_version=first[:8]) == 0
    done = deployment.run(migrate_version="nowhere")
    assert done.exit_code == 2
    assert "origin has no branch or tag nowhere" in done.output


def test_a_work_tree_whose_repository_is_elsewhere_is_pulled(deployment: Deployment) -> None:
    tree = deployment.scratch / "tree"
    _git(deployment.checkout, "checkout", "--detach")
    _git(deployment.checkout, "worktree", "add", str(tree), "main")
    deployment.folder = tree / "shop"
    deployment.use(describe("a" * 64, **deployment.worker("celery_worker")))
    published = _publish(deployment.elsewhere, "newer")
    assert deployment.changes() > 0
    assert deployment.composed() == BUILT
    assert _git(tree, "rev-parse", "HEAD") == published
    assert deployment.changes() == 0


@pytest.mark.parametrize("why", ["no remote", "no branch", "not pushed", "no checkout", "not in the checkout"])
def test_where_nothing_can_be_pulled_it_is_said_and_the_rest_goes_on(deployment: Deployment, why: str) -> None:
    said = {
        "no remote": "the checkout has no remote that is called origin",
        "no branch": "no branch is checked out",
        "not pushed": "origin has no branch or tag ours",
        "no checkout": "not a git repository",
        "not in the checkout": "but not in 'HEAD'",
    }[why]
    if why == "no remote":
        _git(deployment.checkout, "remote", "rename", "origin", "backup")
    elif why == "no branch":
        _git(deployment.checkout, "checkout", "--detach")
    elif why == "not pushed":
        _git(deployment.checkout, "checkout", "-b", "ours")
    else:
        parent = deployment.scratch if why == "no checkout" else deployment.checkout
        deployment.folder = parent / "plain"
        deployment.folder.mkdir()
        deployment.use(describe("a" * 64, **deployment.worker("celery_worker")))
    done = deployment.run()
    assert done.exit_code == 0, done.output
    assert "No code is pulled: " in done.output
    assert said in done.output
    assert done.recap["shop"]["changed"] == 0
    assert deployment.composed() == []


def test_a_project_is_rebuilt_from_the_files_that_it_runs_from(deployment: Deployment) -> None:
    """A worker that has stopped is of the files, a leftover is not; the file of production is not the folder's own."""
    files = {"project.config_files": f"{deployment.folder}/prod.yml", "project.environment_file": "/etc/shop.env"}
    deployment.use(
        describe("a" * 64, **deployment.worker("celery_worker", **files)),
        describe("b" * 64, state="exited", **deployment.worker("mailer", **files)),
        describe("c" * 64, state="exited", **deployment.worker("celery_old", **files)),
        describe("d" * 64, **_beat(deployment.worker("beat", **files))),
        describe("e" * 64, state="exited", **_beat(deployment.worker("beat_old", **files))),
        configured={"services": {"celery_worker": {}, "mailer": {}, "beat": {}}},
    )
    _publish(deployment.elsewhere, "newer")
    done = deployment.run()
    assert done.exit_code == 0, done.output
    chosen = f"compose --project-name shop --project-directory {deployment.folder} --file {deployment.folder}/prod.yml"
    configured, built, started = deployment.composed()
    assert configured.startswith(f"{chosen} --env-file /etc/shop.env --profile=* config")
    assert built.startswith(f"{chosen} --env-file /etc/shop.env build ")
    assert set(built.split(" build ")[1].split()) == {"celery_worker", "mailer", "beat"}
    assert started.split("--force-recreate ")[1].split() == built.split(" build ")[1].split()


def _beat(worker: dict[str, Any]) -> dict[str, Any]:
    return {**worker, "command": ["celery", "-A", "shop", "beat"]}


def test_a_deployment_that_cannot_be_reached_stops_the_fleet(deployment: Deployment) -> None:
    """The other one of its batch would be well."""
    away = {"ansible_remote_tmp": "/proc/none"}
    done = deployment.run(more={"away": away, "beside": {}}, migrate_pull=False)
    assert "UNREACHABLE" in done.output
    assert done.exit_code != 0
    assert done.recap.keys() == {"away", "beside"}


@pytest.mark.parametrize("before", ["running", "exited"])
def test_a_worker_that_stops_beside_another_stops_the_deployment(deployment: Deployment, before: str) -> None:
    """It takes another queue than the one that runs. One that did not run before either is no news."""
    descriptions = deployment.scratch / "docker" / "descriptions"
    said = {}
    for state in ("restarting", before):
        deployment.use(
            describe("a" * 64, **deployment.worker("celery_worker")),
            describe("b" * 64, state=state, **deployment.worker("mailer")),
            describe("c" * 64, **_beat(deployment.worker("beat"))),
        )
        said[state] = descriptions.read_text(encoding="utf-8")
    later = deployment.scratch / "later"
    later.write_text(said["restarting"], encoding="utf-8")
    _publish(deployment.elsewhere, "newer")
    done = deployment.run(migrate_verify=True, migrate_rebuild_command=["cp", str(later), str(descriptions)])
    assert done.exit_code == 2
    stopped = "Not all of the project's Celery workers run: shop-mailer-1 is restarting."
    assert (f"{stopped} Tasks" in done.output.split("Check that worker and beat are well")[1]) is (before == "running")


def test_an_application_that_scripts_start_is_asked_where_its_services_are_named(
    deployment: Deployment, postgresql_database: Database
) -> None:
    """Its schedule has no built-in task yet, and beat would make one, enabled."""
    create_django_celery_beat(postgresql_database)
    url = make_url(postgresql_database.url)
    containers = {
        one: describe(identifier * 64, **{**deployment.worker(one), "command": [f"/start-{one}"], "image": image})
        for one, identifier, image in (("beat", "a", "shop"), ("worker", "b", "shop"), ("db", "c", "postgres:18"))
    }
    containers["db"]["Config"]["Env"] = [
        f"POSTGRES_{name}={value}"
        for name, value in (("USER", url.username), ("PASSWORD", url.password), ("DB", url.database))
    ]
    published = {"HostIp": str(url.host), "HostPort": str(url.port)}
    containers["db"]["NetworkSettings"] = {"Ports": {"5432/tcp": [published]}}
    told = {
        "result_expires": 86400, "result_backend": "django-db", "expires_by_itself": False, "beat_scheduler": "django",
        "timezone": "UTC",
    }  # fmt: skip
    deployment.use(*containers.values(), told={"a" * 64: told})
    named = {"celery_worker_service": "worker", "celery_beat_service": "beat"}
    done = deployment.run(migrate_retire=True, migrate_verify=True, migrate_pull=False, **named)
    assert done.exit_code == 0, done.output
    rows = postgresql_database.execute("SELECT name, enabled FROM django_celery_beat_periodictask")
    assert [tuple(row) for row in rows] == [("celery.backend_cleanup", False)]
