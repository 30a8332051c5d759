# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deployment_info finds by asking a running application how it is configured."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.docker import ComposeProject, Images, up
from support.running import ModuleRun, run_module, run_playbook

BUILTIN = "celery.backend_cleanup"


@pytest.fixture(scope="module")
def clinic(images: Images) -> Iterator[ComposeProject]:
    """Its application keeps results for a day, so beat has made `celery.backend_cleanup`."""
    with up(f"clinic-{os.getpid()}", images, result_expires=86400) as project:
        yield project


def _run(project: ComposeProject, module: str, **options: Any) -> ModuleRun:
    done = run_module(module, {"compose": {"project_dir": str(project.folder)}, **options})
    assert not done.get("failed"), done
    return done


def _findings(project: ComposeProject) -> dict[str, dict[str, str]]:
    found = _run(project, "deployment_info")["findings"]
    codes = {one["code"]: one for one in found}
    assert len(codes) == len(found), found
    assert {one["severity"] for one in found} <= {"warning"}
    return codes


def _doctored(project: ComposeProject, folder: Path, **variables: Any) -> list[str]:
    """What the playbook doctor finds, from an inventory that knows the folder and *variables*."""
    host = {"ansible_connection": "local", "celery_compose_project_dir": str(project.folder), **variables}
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"clinic": host}}}), encoding="utf-8")
    (found,) = run_playbook("fleetops.celery.doctor", inventory).results("deployment_info", "clinic")
    return [one["code"] for one in found["findings"]]


def _configure(project: ComposeProject, **variables: str) -> None:
    """Change variables of the application, and have Compose make its containers anew."""
    path = project.folder / "app.env"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.partition("=")[0] not in variables]
    lines += [f"{name}='{value}'" for name, value in variables.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    project.compose("up", "--detach", "--wait", "--timeout=1", "celery_worker", "celery_beat")


def test_the_built_in_task_is_found_until_it_is_retired(clinic: ComposeProject, tmp_path: Path) -> None:
    found = _findings(clinic)
    assert set(found) == {"backend_cleanup_enabled"}
    assert f"{BUILTIN} runs at 0 4 * * *" in found["backend_cleanup_enabled"]["message"]
    assert "migrate" in found["backend_cleanup_enabled"]["fix"]
    assert _doctored(clinic, tmp_path, migrate_strategy="both") == []
    assert _doctored(clinic, tmp_path, migrate_strategy="own") == ["backend_cleanup_enabled"]

    removed = _run(clinic, "backend_cleanup", state="absent")
    assert removed["recreation"]["verdict"] == "will_come_back"
    found = _findings(clinic)
    assert set(found) == {"backend_cleanup_returns"}
    assert "sets result_expires" in found["backend_cleanup_returns"]["message"]
    assert "backend_cleanup" in found["backend_cleanup_returns"]["fix"]

    retired = _run(clinic, "backend_cleanup", state="disabled")
    assert retired["recreation"]["verdict"] == "stays_disabled"
    assert _findings(clinic) == {}
    assert _doctored(clinic, tmp_path, migrate_strategy="builtin") == ["backend_cleanup_idle"]


def test_a_schedule_that_is_in_no_database_is_that_of_the_application(clinic: ComposeProject, tmp_path: Path) -> None:
    """A database without its tables, as where beat keeps its schedule in a file."""
    empty = tmp_path / "empty.db"
    empty.touch()
    found = _run(clinic, "deployment_info", database_url=f"sqlite:///{empty}")
    assert {one["code"] for one in found["findings"]} == {"no_record_table", "backend_cleanup_returns"}
    assert "cleanup-celery-results" in found["beat"]["beat_schedule"]


def test_a_task_that_no_worker_knows_is_found_while_it_is_enabled(clinic: ComposeProject) -> None:
    """Runs after the built-in task was retired, as the tests below."""
    task = {"name": "forgotten", "task": "apps.scheduler.tasks.renamed", "crontab": "0 5 1 1 *"}
    _run(clinic, "periodic_task", **task)
    found = _findings(clinic)
    assert set(found) == {"periodic_task_unknown"}
    assert "forgotten runs apps.scheduler.tasks.renamed" in found["periodic_task_unknown"]["message"]
    _run(clinic, "periodic_task", name="forgotten", enabled=False)
    assert _findings(clinic) == {}
    _run(clinic, "periodic_task", name="forgotten", state="absent")


def test_a_schedule_file_that_beat_does_not_use_is_found(clinic: ComposeProject) -> None:
    """Left by a beat that kept its schedule in a file."""
    clinic.compose("exec", "-T", "celery_beat", "touch", "celerybeat-schedule")
    found = _findings(clinic)
    assert set(found) == {"stale_schedule_file"}
    assert "beat keeps its schedule in the database" in found["stale_schedule_file"]["message"]
    clinic.compose("exec", "-T", "celery_beat", "rm", "celerybeat-schedule")
    assert _findings(clinic) == {}


def test_results_in_redis_that_never_expire_are_found(clinic: ComposeProject) -> None:
    _configure(clinic, CELERY_RESULT_BACKEND="redis://redis:6379/1", CELERY_RESULT_EXPIRES="")
    found = _findings(clinic)
    assert set(found) == {"results_never_expire"}
    assert "Results are kept in redis" in found["results_never_expire"]["message"]
    assert "Set result_expires" in found["results_never_expire"]["fix"]
    _configure(clinic, CELERY_RESULT_EXPIRES="86400")
    assert _findings(clinic) == {}


def test_an_application_that_cannot_be_imported_is_named(clinic: ComposeProject) -> None:
    """As after new code was put where the old one runs on; nothing is changed before it is known what beat makes."""
    clinic.compose("exec", "-T", "celery_beat", "mv", "shop", "gone")
    try:
        found = _findings(clinic)
        assert set(found) == {"application_unreadable"}
        where = {"compose": {"project_dir": str(clinic.folder)}, "state": "absent"}
        refused = run_module("backend_cleanup", where)
        told = run_module("backend_cleanup", {**where, "result_expires": "24h"}, check=True)
    finally:
        clinic.compose("exec", "-T", "celery_beat", "mv", "gone", "shop")
    assert (refused["failed"], refused["changed"], told["changed"]) == (True, False, True)
    for message in (found["application_unreadable"]["message"], refused["msg"]):
        assert message.startswith(f"The application in container {clinic.name}-celery_beat-1 cannot be asked")
        assert "No module named 'shop'" in message
    assert refused["msg"].endswith("Mend that, or give result_expires.")
    assert clinic.schedule()[BUILTIN] is False


def test_services_of_the_project_and_a_database_by_its_url(clinic: ComposeProject, tmp_path: Path) -> None:
    url = clinic.database().url
    found = _run(clinic, "deployment_info", database_url=url, tables=[{}])
    assert found["findings"] == []
    assert found["database"]["name"].endswith(f"{url.rpartition('@')[2].partition('/')[0]}")
    assert {one["service"] for one in found["services"]} >= {"celery_worker", "celery_beat"}
    nowhere = "postgresql://shop:very-secret@127.0.0.1:1/shop"
    found = _run(clinic, "deployment_info", database_url=nowhere)
    assert [one["code"] for one in found["findings"]] == ["database_unreachable"]
    assert len(found["services"]) >= 4
    gone = {"compose": {"project_name": "no-such-project"}, "database_url": url}
    found = run_module("deployment_info", gone)
    assert [one["code"] for one in found["findings"]] == ["project_not_found"]
    assert found["profiles"][0]["profile"] == "django_celery_results"

    host = {
        "ansible_connection": "local",
        "celery_compose_project_dir": str(clinic.folder),
        "celery_database_url": url,
        "cleanup_tables": [{"profile": "processing_tasks", "vacuum": {"mode": "none"}}],
    }
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"clinic": host}}}), encoding="utf-8")
    looked = run_playbook("fleetops.celery.doctor", inventory)
    (found,) = looked.results("deployment_info", "clinic")
    assert [one["code"] for one in found["findings"]] == ["table_missing"]
    assert len(found["services"]) >= 4
    migrated = run_playbook("fleetops.celery.migrate", inventory)
    assert migrated.exit_code == 0, migrated.output
    assert migrated.recap["clinic"]["changed"] == 0


def test_worker_and_beat_that_scripts_start_are_known_by_name(clinic: ComposeProject) -> None:
    """Neither the commands nor the variables of their containers tell the application; the processes in them do.

    Nor does the folder in which the containers were started: the application is in another, or on a path of its own.
    """
    _write_start_script(clinic, "cd /app")
    path = clinic.folder / "compose.yml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name in ("celery_worker", "celery_beat"):
        service = document["services"][name]
        service.pop("env_file")
        service["command"] = service["command"].removeprefix("celery -A shop ")
        service["entrypoint"] = ["sh", "/start"]
        service["working_dir"] = "/"
        service["volumes"] = ["./start:/start:ro", "./app.env:/start.env:ro"]
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    clinic.compose("up", "--detach", "--wait", "--timeout=1", "celery_worker", "celery_beat")

    unnamed = {one["code"] for one in _run(clinic, "deployment_info")["findings"]}
    assert unnamed == {"worker_not_running", "beat_not_running"}
    found = _run(clinic, "deployment_info", worker_service="celery_worker", beat_service="celery_beat")
    assert found["findings"] == []
    assert {one["service"]: one["roles"] for one in found["services"] if one["roles"]} == {
        "backend": ["application"],
        "celery_beat": ["beat"],
        "celery_worker": ["worker"],
        "db": ["database"],
    }
    assert found["beat"]["result_expires"] == 86400

    _write_start_script(clinic, "PYTHONPATH=/app")
    clinic.restart_beat()
    found = _run(clinic, "deployment_info", worker_service="celery_worker", beat_service="celery_beat")
    assert found["findings"] == []
    assert found["beat"]["result_expires"] == 86400


def _write_start_script(project: ComposeProject, line: str) -> None:
    script = f"set -a\n. /start.env\n{line}\nexec celery -A shop $*\n"
    (project.folder / "start").write_text(script, encoding="utf-8")
