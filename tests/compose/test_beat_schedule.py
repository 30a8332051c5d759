# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role beat_schedule on a running project whose worker is not root: beat really fires, and rows really go."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.docker import NIGHT, ComposeProject, Images, RoleHost, docker, without_root
from support.running import PlaybookRun, run_module
from support.tables import fill
from support.tables.rows import TASK_RESULT, task_results

MINUTELY = [{"name": "tidy", "task": "run_policy", "crontab": "* * * * *"}]


@pytest.fixture(scope="module")
def kept(images: Images) -> Iterator[ComposeProject]:
    # The sidecar has the worker's user, who must be able to read the policy.
    with without_root("kept", images) as project:
        yield project


class Host(RoleHost):
    def state(self) -> dict[str, Any]:
        """Everything that the role touches."""
        return {
            **self.files(),
            "containers": sorted(self.project.compose("ps", "--quiet").split()),
            "schedule": self.project.schedule(),
        }

    def refused(self, words: str, **variables: Any) -> PlaybookRun:
        before = self.state()
        done = super().refused(words, **variables)
        assert self.state() == before
        return done


@pytest.fixture
def host(kept: ComposeProject, tmp_path: Path) -> Iterator[Host]:
    host = Host(kept, tmp_path, "fleetops.celery.beat_schedule")
    yield host
    if host.folder.exists():
        # A test has failed; the next one begins anew.
        host.run(beat_schedule_state="absent", beat_schedule_mode="database", beat_schedule_tasks=MINUTELY)


def _wait(done: Callable[[], bool], seconds: float, told: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {told()}")
        time.sleep(0.5)


def _wait_until_cleaned(project: ComposeProject, service: str) -> None:
    """Beat fires, a worker takes the task, and the old rows go; the young ones stay."""
    database = project.database()
    fill(database, TASK_RESULT, [task_results(40), task_results(7, days=1, task_name="young")])
    old = f"SELECT count(*) FROM {TASK_RESULT} WHERE date_done < now() - interval '7 days'"
    assert database.scalar(old) >= 40
    _wait(lambda: database.scalar(old) == 0, 90, lambda: project.compose("logs", "--tail=40", service))
    assert database.scalar(f"SELECT count(*) FROM {TASK_RESULT} WHERE task_name = 'young'") >= 7


def _memory(project: ComposeProject, service: str) -> float:
    """What the container holds in MiB, as `docker stats` counts it: without files that could be dropped at any time."""
    (container,) = project.containers(service)
    told = docker("stats", "--no-stream", "--format={{.MemUsage}}", container).split()[0]
    number, unit = re.fullmatch(r"([\d.]+)([KMG]iB)", told).groups()  # type: ignore[union-attr]
    return float(number) * {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[unit]


def test_the_sidecar_cleans_beside_an_application_that_is_not_touched(host: Host) -> None:
    project = host.project
    before = host.state()
    options: dict[str, Any] = {"beat_schedule_tasks": MINUTELY, "beat_schedule_timezone": "Europe/Berlin"}

    assert host.changed(check=True, diff=True, **options) > 0
    assert host.state() == before

    assert host.changed(diff=True, **options) > 0
    after = host.state()
    assert set(after["containers"]) > set(before["containers"])
    assert after["schedule"] == before["schedule"]
    assert after["project"]["compose.yml"] == before["project"]["compose.yml"]
    assert project.password not in after["project"]["compose.override.yml"]
    policy = host.folder / "policy" / "policy.json"
    assert (policy.stat().st_mode & 0o777, policy.stat().st_uid) == (0o600, 1000)
    assert (policy.parent.stat().st_mode & 0o777, policy.parent.stat().st_uid) == (0o700, 1000)
    idle = _memory(project, "celery_maintenance")
    print(f"sidecar at idle: {idle:.0f} MiB")
    assert 10 < idle < 120

    assert host.changed(check=True, **options) == 0
    assert host.changed(**options) == 0
    assert host.state() == after

    # It is no part of the application: who looks that over neither counts it nor disturbs it.
    looked = run_module("deployment_info", {"compose": {"project_dir": str(project.folder)}})
    roles = {service["service"]: service["roles"] for service in looked["services"]}
    assert roles["celery_maintenance"] == []
    assert looked["beat"]["maintenance"] == ["celery_maintenance.run_policy"]
    assert "several_beats" not in {finding["code"] for finding in looked["findings"]}
    assert project.inspect("celery_maintenance")["State"]["Health"]["Status"] == "healthy"

    _wait_until_cleaned(project, "celery_maintenance")
    worked = _memory(project, "celery_maintenance")
    print(f"sidecar after a run: {worked:.0f} MiB")
    assert 10 < worked < 120
    logs = project.compose("logs", "--no-color", "celery_maintenance")
    assert f"{TASK_RESULT}: deleted" in logs
    assert project.password not in logs
    assert "Traceback" not in logs

    # The next task reads the new policy; only another schedule needs another container.
    (sidecar,) = project.containers("celery_maintenance")
    assert host.changed(**options, cleanup_high_frequency_tasks=["young"]) == 1
    assert project.containers("celery_maintenance") == [sidecar]
    young = f"SELECT count(*) FROM {TASK_RESULT} WHERE task_name = 'young'"
    _wait(
        lambda: project.database().scalar(young) == 0,
        90,
        lambda: project.compose("logs", "--tail=40", "celery_maintenance"),
    )
    daily = [{**MINUTELY[0], "crontab": "0 4 * * *"}]
    assert host.changed(**{**options, "beat_schedule_tasks": daily}, cleanup_high_frequency_tasks=["young"]) == 2
    assert project.containers("celery_maintenance") != [sidecar]

    assert host.changed(check=True, beat_schedule_state="absent") > 0
    assert host.changed(beat_schedule_state="absent") > 0
    assert host.state() == before
    assert host.changed(beat_schedule_state="absent") == 0


def test_rows_in_the_database_are_run_by_the_workers_of_the_application(host: Host) -> None:
    project = host.project
    before = host.state()
    daily = [
        {**MINUTELY[0], "crontab": "0 4 * * *"},
        {"name": "look", "task": "run_policy", "crontab": "0 3 * * 1", "kwargs": {"check": True}},
    ]
    options: dict[str, Any] = {"beat_schedule_tasks": daily, "beat_schedule_mode": "database"}

    assert host.changed(check=True, diff=True, **options) > 0
    assert host.state() == before
    assert host.changed(**options) > 0
    after = host.state()
    assert after["schedule"] == {**before["schedule"], "tidy": True, "look": True}
    assert project.inspect("celery_worker")["Config"]["Cmd"] == [
        "celery",
        "-A",
        "shop",
        *["worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "info"],
    ]
    assert host.changed(**options) == 0
    assert host.state() == after

    # Every few seconds, as an administrator may set it in the admin pages.
    project.django(
        "from django_celery_beat.models import IntervalSchedule, PeriodicTask\n"
        "every, _new = IntervalSchedule.objects.get_or_create(every=3, period='seconds')\n"
        "row = PeriodicTask.objects.get(name='tidy')\n"
        "row.interval, row.crontab = every, None\n"
        "row.save()\n"
    )
    _wait_until_cleaned(project, "celery_worker")

    # The other way takes back what this one has added.
    assert host.changed(beat_schedule_tasks=daily) > 0
    assert project.schedule() == before["schedule"]
    assert "maintenance" not in json.dumps(project.inspect("celery_worker")["Config"]["Env"])
    assert len(project.containers("celery_maintenance")) == 1
    assert host.changed(**options) > 0
    assert project.schedule() == after["schedule"]
    assert project.containers("celery_maintenance") == []

    assert host.changed(beat_schedule_state="absent", **options) > 0
    gone = host.state()
    # Workers were made anew.
    assert {**gone, "containers": None} == {**before, "containers": None}
    assert host.changed(beat_schedule_state="absent", **options) == 0


def test_rows_of_the_application_are_left_alone_and_own_ones_that_are_no_longer_wanted_go(host: Host) -> None:
    project = host.project
    row = {
        "name": "cleanup-celery-results",
        "task": "apps.scheduler.tasks.cleanup_celery_results",
        "crontab": f"0 {NIGHT} * * *",
    }
    where = {"compose": {"project_dir": str(project.folder)}}
    before = host.state()["schedule"]
    theirs = {row["name"]: run_module("periodic_task", {**where, **row})["after"]}
    try:
        options: dict[str, Any] = {"beat_schedule_mode": "database"}
        taken = [*MINUTELY, {**MINUTELY[0], "name": row["name"]}]
        host.refused(f"which runs {row['task']}", **options, beat_schedule_tasks=taken)

        sessions = {"cleanup_tables": [{"profile": "reading_sessions"}, {"profile": "django_celery_results"}]}
        with project.scaled("celery_worker", 2):
            assert host.changed(**options, **sessions, beat_schedule_tasks=MINUTELY) > 0
            wanted = {**before, row["name"]: True, "tidy": True}
            assert project.schedule() == {**wanted, "close-abandoned-reading-sessions": True}
            assert host.changed(**options, **sessions, beat_schedule_tasks=MINUTELY, beat_schedule_sessions="") == 1
            assert project.schedule() == wanted

            renamed = [{**MINUTELY[0], "name": "neat"}]
            assert host.changed(**options, beat_schedule_tasks=renamed) > 0
            assert project.schedule() == {**before, row["name"]: True, "neat": True}
            # It is called by another name, and by that of somebody else's.
            assert host.changed(**options, beat_schedule_state="absent", beat_schedule_tasks=taken) > 0
            assert project.schedule() == {**before, row["name"]: True}
            assert len(project.containers("celery_worker")) == 2
        assert run_module("periodic_task", {**where, **row})["before"] == theirs[row["name"]]
    finally:
        run_module("periodic_task", {**where, "name": row["name"], "state": "absent"})


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"beat_schedule_tasks": [{**MINUTELY[0], "crontab": "61 * * * *"}]}, "'61' is no minute"),
        ({"beat_schedule_tasks": [{**MINUTELY[0], "crontab": "* * *"}]}, "has 3 fields; it needs five"),
        ({"beat_schedule_tasks": [{**MINUTELY[0], "task": "run_polcy"}]}, "there is no maintenance task"),
        ({"beat_schedule_tasks": [{**MINUTELY[0], "kwargs": {"days": 30}}]}, "unknown key days; known are check"),
        ({"beat_schedule_tasks": MINUTELY * 2}, "two entries called tidy"),
        ({"beat_schedule_tasks": []}, "The schedule has no task"),
        ({"beat_schedule_timezone": "Europe/Berlln"}, "is not a time zone"),
        ({"beat_schedule_queue": "a queue"}, "cannot be a queue's name"),
        ({"beat_schedule_queue": "celery"}, "service celery_worker of the application reads celery too"),
        ({"beat_schedule_queue": "light", "beat_schedule_mode": "database"}, "celery_worker reads celery"),
        ({"beat_schedule_priority": 11}, "priority must lie between 0 and 10"),
        ({"celery_worker_service": "celery_wroker"}, "No container of service celery_wroker runs"),
        ({"celery_worker_service": "backend"}, "does not name its application"),
        ({"cleanup_tables": [{"profile": "nothing"}]}, "nothing"),
        ({"cleanup_tables": [{"proof": "containers"}]}, "In a container there is none"),
        ({"cleanup_archive": {"compression": "gzip"}}, "archive: path is missing"),
        ({"cleanup_limits": {"stop_file": "/tmp/stop"}}, "cannot lie in /tmp"),
        ({"cleanup_limits": {"stop_file": "/nowhere/else/stop"}}, "must lie in a folder that is there"),
        ({"cleanup_limits": {"max_rows": "many"}}, "max_rows must be a whole number"),
        ({"celery_compose_project_dir": "/nowhere"}, "There is no Compose file in /nowhere"),
        ({"beat_schedule_database_url": "oracle://u:very-secret@db/x"}, "database_url must begin with"),
        ({"beat_schedule_mode": "database", "celery_database_url": "sqlite:////nowhere/x"}, "does not exist"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_installed(host: Host, variables: dict[str, Any], words: str) -> None:
    host.refused(words, **variables)


SYSTEM = "/usr/local/bin:/usr/bin:/bin"  # there the Python has no Celery


@pytest.fixture
def strange(kept: ComposeProject) -> Iterator[ComposeProject]:
    """With services whose Python, or application, is not where others have theirs."""
    path = kept.folder / "compose.yml"
    plain = path.read_text(encoding="utf-8")
    document = yaml.safe_load(plain)
    idle = {
        "image": f"{kept.name}-backend",
        "pull_policy": "never",
        "command": ["/bin/sleep", "infinity"],
        "init": True,
    }
    worker = document["services"]["celery_worker"]
    command = worker["command"].replace("celery", "/opt/venv/bin/celery --workdir /app", 1)
    elsewhere = {"command": command, "working_dir": "/", "environment": {"PATH": SYSTEM}}
    document["services"] |= {
        "without_celery": {**idle, "environment": {"PATH": SYSTEM}},
        "without_python": {**idle, "environment": {"PATH": "/nowhere"}},
        "off_the_path": {**worker, **elsewhere},
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    services = ["without_celery", "without_python", "off_the_path"]
    try:
        kept.compose("up", "--detach", "--no-deps", "--wait", *services)
        yield kept
    finally:
        kept.compose("rm", "--stop", "--force", *services)
        path.write_text(plain, encoding="utf-8")


def test_celery_is_looked_for_where_it_runs(host: Host, strange: ComposeProject) -> None:
    host.refused("has no Celery. Name a service that runs Celery", celery_worker_service="without_celery")
    host.refused("cannot be asked whether it has Celery", celery_worker_service="without_python")
    assert host.changed(celery_worker_service="off_the_path", beat_schedule_tasks=MINUTELY) > 0
    assert strange.inspect("celery_maintenance")["State"]["Health"]["Status"] == "healthy"
    assert host.changed(beat_schedule_state="absent") > 0


def test_a_foreign_override_file_is_left_alone(host: Host) -> None:
    with host.foreign_override_file():
        for mode in ("sidecar", "database"):
            host.refused("was written by somebody else", beat_schedule_mode=mode)
        before = host.state()
        assert host.changed(beat_schedule_state="absent") == 0
        assert host.state() == before


def test_a_project_without_a_worker_is_told(host: Host) -> None:
    host.project.compose("stop", "--timeout=5", "celery_worker")
    try:
        host.refused("No service of the project runs a Celery worker")
    finally:
        host.project.compose("up", "--detach", "--wait", "celery_worker")


def test_a_sidecar_that_does_not_start_is_taken_back(host: Host) -> None:
    done = host.refused("nowhere", beat_schedule_application="nowhere")
    (why,) = [task["result"]["msg"] for task in done.tasks if task["task"].endswith(": Stop")]
    assert why.count("The application nowhere did not tell its broker: ") == 1
    # Neither a traceback nor what a terminal is told.
    assert why.isprintable()
    assert "line " not in why


def test_a_change_that_does_not_start_leaves_the_old_sidecar_at_work(host: Host) -> None:
    project = host.project
    path = project.folder / "compose.yml"
    plain = path.read_text(encoding="utf-8")
    stop = project.folder / "stop" / "now"
    stop.parent.mkdir()
    options: dict[str, Any] = {"beat_schedule_tasks": MINUTELY, "cleanup_limits": {"stop_file": str(stop)}}
    try:
        assert host.changed(**options) > 0
        before = host.files()
        # The files are as they were, and the sidecar is another container.
        RoleHost.refused(host, "nowhere", **options, beat_schedule_application="nowhere")
        assert host.changed(check=True, **options) == 0
        assert project.inspect("celery_maintenance")["State"]["Health"]["Status"] == "healthy"

        # It sees a file of the host, also one that comes later.
        stop.touch()
        seen = f"the file {stop} is there"
        fill(project.database(), TASK_RESULT, [task_results(40)])
        _wait(
            lambda: seen in project.compose("logs", "--no-color", "celery_maintenance"),
            90,
            lambda: project.compose("logs", "--tail=40", "celery_maintenance"),
        )

        # Nobody can start what the package's way of loading it keeps from starting.
        document = yaml.safe_load(plain)
        worker = document["services"]["celery_worker"]
        worker["command"] = f"sh -c 'test -z \"$$CELERY_MAINTENANCE_POLICY\" && exec {worker['command']}'"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        project.compose("up", "--detach", "--no-deps", "--wait", "celery_worker")
        (sidecar,) = project.containers("celery_maintenance")
        changed = host.files()
        done = host.run(**options, beat_schedule_mode="database")
        assert done.exit_code == 2, done.output
        assert {**host.files(), "installed": None} == {**changed, "installed": None}
        assert before["project"]["compose.override.yml"] == host.files()["project"]["compose.override.yml"]
        assert project.containers("celery_maintenance") == [sidecar]
        assert project.inspect("celery_worker")["State"]["Status"] == "running"
        assert "tidy" not in project.schedule()
        assert host.changed(beat_schedule_state="absent") > 0
    finally:
        path.write_text(plain, encoding="utf-8")
        project.compose("up", "--detach", "--no-deps", "--wait", "celery_worker")


def test_everything_is_gone(host: Host) -> None:
    """Runs last: no test has left a container or an image behind."""
    assert not host.folder.exists()
    assert "celery_maintenance" not in docker("ps", "--all", "--format={{.Names}}")
