# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's own playbook of five lines over three deployments, one on each kind of database."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa
from support.command import run_command, write_policy
from support.running import PlaybookRun
from support.servers import Database
from support.servers.processes import free_port
from support.tables import (
    Ago,
    Rows,
    UniqueText,
    create_celery_tables,
    create_django_celery_results,
    create_processing_tasks,
    create_reading_sessions,
    dump,
    fill,
)
from support.tables.rows import task_results

RunPlaybook = Callable[..., PlaybookRun]

DAY = 86_400.0
RESULTS = "django_celery_results_taskresult"
OWN_PLAYBOOK = """\
---
- name: Clean our deployments
  ansible.builtin.import_playbook: fleetops.celery.cleanup
  vars:
    ansible_connection: local
"""


def _shop(database: Database) -> None:
    """django-celery-results: 120 old, 20 revoked, 3 dead, 1,200 young rows, 40 of them of a noisy task."""
    create_django_celery_results(database)
    row = {"task_id": UniqueText(), "content_type": "application/json", "content_encoding": "utf-8"}
    old = {**row, "date_created": Ago(60 * DAY, 20 * DAY), "date_done": Ago(60 * DAY, 20 * DAY)}
    new = {**row, "date_created": Ago(2 * DAY, 60), "date_done": Ago(2 * DAY, 60)}
    groups = [
        Rows(120, {**old, "task_name": "shop.order", "status": "SUCCESS"}),
        Rows(3, {**old, "task_name": "shop.order", "status": "STARTED"}),
        Rows(20, {**new, "task_name": "shop.order", "status": "REVOKED"}),
        Rows(1_160, {**new, "task_name": "shop.order", "status": "SUCCESS"}),
        Rows(40, {**new, "task_name": "shop.poll_status", "status": "SUCCESS"}),
    ]
    fill(database, RESULTS, groups)


def _clip(database: Database) -> None:
    create_processing_tasks(database)
    task = {"task_type": "VIDEO_SLICE"}
    groups = [
        Rows(30, {**task, "status": "FAILURE", "created_at": Ago(20 * DAY, 8 * DAY)}),
        Rows(50, {**task, "status": "SUCCESS", "created_at": Ago(90 * DAY, 31 * DAY)}),
        Rows(70, {**task, "status": "SUCCESS", "created_at": Ago(20 * DAY, 1 * DAY)}),
        Rows(2, {**task, "status": "RUNNING", "created_at": Ago(2 * DAY), "started_at": Ago(2 * DAY)}),
        Rows(5, {**task, "status": "PENDING", "created_at": Ago(0.5 * DAY)}),
    ]
    fill(database, "processing_tasks", groups)


def _reader(database: Database) -> None:
    create_celery_tables(database)
    create_reading_sessions(database)
    rows = [
        Rows(25, {"task_id": UniqueText(), "status": "SUCCESS", "date_done": Ago(30 * DAY, 8 * DAY)}),
        Rows(15, {"task_id": UniqueText(), "status": "SUCCESS", "date_done": Ago(5 * DAY, DAY)}),
    ]
    fill(database, "celery_taskmeta", rows, clock="celery")
    session = {"id": UniqueText(), "user_id": "u", "book_id": "b", "duration_minutes": 0, "start_position": 3}
    fill(database, "reading_sessions", [Rows(4, {**session, "is_active": True, "started_at": Ago(DAY)})])


FILLS = {"shop": ("postgresql", _shop), "clip": ("mariadb", _clip), "reader": ("sqlite", _reader)}


@dataclass
class Fleet:
    """Three deployments with their inventory; what a host has of its own is in `host_vars`, as users write it."""

    folder: Path
    databases: dict[str, Database]
    own: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def inventory(self) -> Path:
        return self.folder / "hosts.json"

    def playbook(self, text: str = OWN_PLAYBOOK) -> Path:
        path = self.folder / "clean.yml"
        path.write_text(text)
        hosts = {name: {"celery_database_url": database.url} for name, database in self.databases.items()}
        self.inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        for name, variables in self.own.items():
            own = self.folder / "host_vars" / f"{name}.json"
            own.parent.mkdir(exist_ok=True)
            own.write_text(json.dumps(variables))
        return path

    def dumps(self) -> dict[str, Any]:
        return {name: dump(database) for name, database in self.databases.items()}


@pytest.fixture
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    databases = {
        name: request.getfixturevalue(kind).filled_database(fill_it, fill_it)[0]
        for name, (kind, fill_it) in FILLS.items()
    }
    yield Fleet(tmp_path, databases)
    for database in databases.values():
        database.drop()


def _matched(run: PlaybookRun, module: str, host: str) -> list[int]:
    return [one["matched"] for task in run.results(module, host) for one in task.get("results", [task])]


def _report(run: PlaybookRun, host: str) -> list[str]:
    return [line for task in run.results("ansible.builtin.debug", host) for line in task["msg"]]


def _changed(run: PlaybookRun) -> dict[str, int]:
    assert run.exit_code == 0, run.output
    return {host: counts["changed"] for host, counts in run.recap.items()}


def test_check_predicts_a_run_does_it_and_a_second_changes_nothing(fleet: Fleet, run_playbook: RunPlaybook) -> None:
    # One deployment keeps its results for longer.
    fleet.own["shop"] = {
        "cleanup_tables": [
            {"profile": "django_celery_results", "purge_rules": [{"name": "month", "older_than": "30d"}]}
        ]
    }
    playbook = fleet.playbook()
    untouched = fleet.dumps()

    plan = run_playbook(playbook, fleet.inventory, check=True, diff=True)
    assert all(count > 0 for count in _changed(plan).values())
    assert fleet.dumps() == untouched

    done = run_playbook(playbook, fleet.inventory, diff=True)
    assert all(count > 0 for count in _changed(done).values())
    for host in fleet.databases:
        for module in ("zombie_fail", "results_purge"):
            assert _matched(plan, module, host) == _matched(done, module, host), (host, module)
    assert _matched(done, "results_purge", "clip") == [80]
    assert sorted(_matched(done, "zombie_fail", "reader")) == [0, 4]
    # Only what is older than the month that host_vars says; the revoked are young.
    gone = 1_343 - fleet.databases["shop"].count(RESULTS)
    assert _matched(done, "results_purge", "shop") == [gone]
    assert 70 <= gone <= 110
    assert fleet.databases["clip"].count("processing_tasks") == 77
    assert fleet.databases["reader"].count("celery_taskmeta") == 15

    after = fleet.dumps()
    again = run_playbook(playbook, fleet.inventory, diff=True)
    assert _changed(again) == {"shop": 0, "clip": 0, "reader": 0}
    assert fleet.dumps() == after

    would, did = _report(plan, "clip"), _report(done, "clip")
    for lines, words in ((would, "would delete"), (did, "deleted")):
        assert f"processing_tasks: {words} 80 records (157 → 77)" in lines
        assert "  - failure: 30 records (FAILURE older than 7d)" in lines
        assert "  - success: 50 records (SUCCESS older than 30d)" in lines
    assert "processing_tasks: would end 7 records whose task is dead" in would
    assert "    pending (PENDING for more than 2h): 5" in did
    assert "  Total records: 157" in did
    assert "  Total records: 77" in did
    assert "  Total records: 1,343" in _report(done, "shop")
    # Nothing in the report is a data structure or a template.
    assert not [line for line in (*would, *did) if "{" in line or "[" in line]


def test_high_frequency_tasks_limits_and_a_choice_of_hosts(fleet: Fleet, run_playbook: RunPlaybook) -> None:
    fleet.own["shop"] = {"cleanup_high_frequency_tasks": ["poll_status"], "cleanup_limits": {"max_rows": 100}}
    fleet.own["clip"] = {
        "cleanup_tables": [
            {
                "profile": "processing_tasks",
                "zombie_rules": [{"name": "slow", "statuses": ["PENDING"], "since": "created", "older_than": "6h"}],
                "purge_rules": [{"all": True}],
                "confirm": "processing_tasks",
                "vacuum": {"mode": "none"},
            }
        ]
    }
    untouched = fleet.dumps()
    run = run_playbook(fleet.playbook(), fleet.inventory, {"celery_hosts": "shop,clip"}, options=["--forks", "1"])
    assert set(_changed(run)) == {"shop", "clip"}
    assert dump(fleet.databases["reader"]) == untouched["reader"]
    (purged,) = run.results("results_purge", "shop")
    assert [(rule["name"], rule["deleted"]) for rule in purged["rules"][:2]] == [("poll_status", 40), ("old", 60)]
    assert (purged["deleted"], purged["stopped"], purged["remaining"]) == (100, "max_rows", 80)
    assert any("Stopped early (max_rows)" in line for line in _report(run, "shop"))
    assert fleet.databases["clip"].count("processing_tasks") == 0
    assert _matched(run, "zombie_fail", "clip") == [5]
    assert all("steps" not in result for result in run.results("results_vacuum", "clip"))


def test_check_foretells_what_is_vacuumed_after_a_rewrite(
    postgresql: Any, run_playbook: RunPlaybook, tmp_path: Path
) -> None:
    def most_are_old(database: Database) -> None:
        create_django_celery_results(database)
        fill(database, RESULTS, [task_results(52_000, days=10), task_results(4_000, days=1)])
        database.execute(f"DELETE FROM {RESULTS} WHERE id % 5 = 0 AND id <= 6000")

    fleet = Fleet(tmp_path, {"shop": postgresql.filled_database(most_are_old, most_are_old)[0]})
    fleet.databases["shop"].execute(f"ANALYZE {RESULTS}")
    playbook = fleet.playbook()
    for limits in ({"exclusive_lock": "30s", "max_rows": 1_000}, {"exclusive_lock": "30s"}):
        fleet.own["shop"] = {"cleanup_limits": limits}
        fleet.playbook()
        policy = {"database_url": fleet.databases["shop"].url, "limits": limits}
        rehearsed = run_command("run", "--dry-run", "--policy", write_policy(tmp_path / "policy.json", policy))
        assert (rehearsed.exit_code, "would run" in rehearsed.out) == (0, False)
        plan = run_playbook(playbook, fleet.inventory, check=True)
        done = run_playbook(playbook, fleet.inventory)
        assert _changed(plan) == _changed(done) == {"shop": 1}, limits
    fleet.databases["shop"].drop()


def test_check_foretells_what_is_vacuumed_after_zombies_have_ended(
    postgresql: Any, run_playbook: RunPlaybook, tmp_path: Path
) -> None:
    def abandoned(database: Database) -> None:
        create_reading_sessions(database)
        session = {"user_id": "u", "book_id": "b", "duration_minutes": 0, "start_position": 3, "started_at": Ago(DAY)}
        open_or_not = {False: 60, True: 40}
        rows = [
            Rows(count, {**session, "id": UniqueText(), "is_active": active}) for active, count in open_or_not.items()
        ]
        fill(database, "reading_sessions", rows)

    fleet = Fleet(tmp_path, {"reader": postgresql.filled_database(abandoned, abandoned)[0]})
    fleet.databases["reader"].execute("ANALYZE reading_sessions")
    playbook = fleet.playbook()
    policy = write_policy(tmp_path / "policy.json", {"database_url": fleet.databases["reader"].url})
    assert "would run VACUUM" in run_command("run", "--dry-run", "--policy", policy).out
    plan = run_playbook(playbook, fleet.inventory, check=True)
    done = run_playbook(playbook, fleet.inventory)
    assert _changed(plan) == _changed(done) == {"reader": 2}
    assert any("would run VACUUM" in line for line in _report(plan, "reader"))
    assert "nothing to reclaim" in run_command("run", "--dry-run", "--policy", policy).out
    fleet.databases["reader"].drop()


def test_missing_indexes_are_made_where_that_is_asked_for(fleet: Fleet, run_playbook: RunPlaybook) -> None:
    fleet.own["clip"] = {"cleanup_indexes": True}
    playbook = fleet.playbook()
    plan = run_playbook(playbook, fleet.inventory, {"celery_hosts": "shop,clip"}, check=True)
    done = run_playbook(playbook, fleet.inventory, {"celery_hosts": "shop,clip"})
    for run, words in ((plan, "would make"), (done, "made")):
        assert f"processing_tasks: {words} 2 indexes" in _report(run, "clip")
        assert not any("index" in line for line in _report(run, "shop") if "REINDEX" not in line and "Size" not in line)
    again = run_playbook(playbook, fleet.inventory, {"celery_hosts": "shop,clip"})
    assert _changed(again) == {"shop": 0, "clip": 0}
    assert "processing_tasks: no index is missing" in _report(again, "clip")


def test_a_host_whose_database_is_away_fails_and_the_others_go_on(fleet: Fleet, run_playbook: RunPlaybook) -> None:
    away = sa.make_url(fleet.databases["shop"].url).set(port=free_port())
    fleet.own["shop"] = {"celery_database_url": away.render_as_string(hide_password=False).replace("+", "%2B")}
    playbook = fleet.playbook()
    # A host's file does not go before what the inventory itself says.
    inventory = json.loads(fleet.inventory.read_text())
    del inventory["all"]["hosts"]["shop"]["celery_database_url"]
    fleet.inventory.write_text(json.dumps(inventory))

    run = run_playbook(playbook, fleet.inventory, {"celery_hosts": "shop,reader"})

    assert run.exit_code == 2
    assert {host: counts["failures"] for host, counts in run.recap.items()} == {"shop": 1, "reader": 0}
    assert run.recap["reader"]["changed"] > 0
    (failed,) = [task for task in run.tasks if task["outcome"] == "failed"]
    assert failed["host"] == "shop"
    assert failed["result"]["msg"].startswith("Cannot open PostgreSQL database")
    assert "Check that the server runs" in failed["result"]["msg"]
    assert "Traceback" not in run.output
    assert str(fleet.databases["shop"].password) not in run.output


WRONG = [
    pytest.param({"cleanup_tables": [{"profile": "sidekiq"}]}, ["profile", "processing_tasks"], id="profile"),
    pytest.param({"cleanup_tables": [{"rules": []}]}, ["cleanup_tables", "rules", "purge_rules"], id="key"),
    pytest.param({"cleanup_limits": {"max_rows": "many"}}, ["max_rows", "int"], id="type"),
    pytest.param({"cleanup_indexes": "perhaps"}, ["cleanup_indexes", "bool"], id="indexes"),
    pytest.param({"cleanup_limits": {"rows": 5}}, ["cleanup_limits", "rows", "max_rows"], id="limit"),
    pytest.param({"cleanup_tables": [{"vacuum": {"mode": "freeze"}}]}, ["mode", "auto, vacuum"], id="vacuum"),
]


@pytest.mark.parametrize(("variables", "words"), WRONG)
def test_wrong_variables_are_refused_before_anything_is_done(
    sqlite: Any, run_playbook: RunPlaybook, tmp_path: Path, variables: dict[str, Any], words: list[str]
) -> None:
    fleet = Fleet(tmp_path, {"reader": sqlite.filled_database(_reader, _reader)[0]})
    before = fleet.dumps()
    run = run_playbook(fleet.playbook(), fleet.inventory, variables)
    assert run.exit_code == 2
    (failed,) = [task for task in run.tasks if task["outcome"] == "failed"]
    for word in words:
        assert word in failed["result"]["msg"]
    assert not [task for task in run.tasks if task["action"].startswith("fleetops.celery.")]
    assert fleet.dumps() == before


def test_without_a_database_the_host_is_told_what_to_set(run_playbook: RunPlaybook, tmp_path: Path) -> None:
    playbook = tmp_path / "clean.yml"
    playbook.write_text(OWN_PLAYBOOK)
    run = run_playbook(playbook)
    assert run.exit_code == 2
    (failed,) = [task for task in run.tasks if task["outcome"] == "failed"]
    assert "one of the following is required: database_url, compose" in failed["result"]["msg"]


def test_the_environment_of_a_host_may_name_the_database(
    sqlite: Any, run_playbook: RunPlaybook, tmp_path: Path
) -> None:
    database = sqlite.filled_database(_reader, _reader)[0]
    playbook = tmp_path / "clean.yml"
    playbook.write_text(OWN_PLAYBOOK.replace("celery.cleanup", "celery.stats"))
    run = run_playbook(playbook, env={"CELERY_DATABASE_URL": database.url})
    assert _changed(run) == {"localhost": 0}
    assert "  Sessions active now: 4" in _report(run, "localhost")


def test_stats_show_and_change_nothing(fleet: Fleet, run_playbook: RunPlaybook) -> None:
    untouched = fleet.dumps()
    playbook = fleet.playbook(OWN_PLAYBOOK.replace("celery.cleanup", "celery.stats"))
    run = run_playbook(playbook, fleet.inventory)
    assert _changed(run) == {"shop": 0, "clip": 0, "reader": 0}
    assert fleet.dumps() == untouched
    lines = _report(run, "shop")
    assert lines[0] == f"{RESULTS} (django_celery_results)"
    assert "  Total records: 1,343" in lines
    assert "    started (STARTED for more than 24h): 3" in lines
    assert any("SUCCESS" in line and "1,320" in line and "98.3%" in line for line in lines)
    assert any("shop.poll_status" in line and "40" in line for line in lines)
    assert "  Sessions active now: 4" in _report(run, "reader")
    more = run_playbook(playbook, fleet.inventory, {"cleanup_stats_period": "7d", "cleanup_stats_top": 1})
    lines = _report(more, "shop")
    assert any("7d" in line for line in lines)
    assert len([line for line in lines if "shop." in line]) == 1


def test_the_page_of_the_fleet_shows_each_deployment(fleet: Fleet, run_playbook: RunPlaybook) -> None:
    hostile = "<b>&\"{{ 1 }}'"
    row = {"task_id": UniqueText(), "status": hostile, "task_name": hostile, "date_done": Ago(DAY)}
    text = {"content_type": "application/json", "content_encoding": "utf-8", "date_created": Ago(DAY)}
    fill(fleet.databases["shop"], RESULTS, [Rows(7, {**row, **text})])
    fleet.own["clip"] = {"celery_database_url": f"mysql+pymysql://nobody:none@127.0.0.1:{free_port()}/none"}
    page = fleet.folder / "fleet & co.html"
    playbook = fleet.playbook(OWN_PLAYBOOK.replace("celery.cleanup", "celery.stats"))
    run = run_playbook(playbook, fleet.inventory, {"cleanup_stats_page": str(page)})
    assert {host: counts["failures"] for host, counts in run.recap.items()} == {"shop": 0, "clip": 1, "reader": 0}
    body = ElementTree.fromstring(page.read_text().removeprefix("<!DOCTYPE html>")).find("body")
    assert body is not None
    seen = {" ".join("".join(element.itertext()).split()) for element in body.iter()}
    assert any(text.startswith("3 deployments, 1,394 records in 3 tables, ") for text in seen), seen
    assert {f"shop: {RESULTS}", "reader: celery_taskmeta", "reader: reading_sessions"} <= seen
    assert "clip: could not be read" in seen
    assert {"SUCCESS 1,320 (97.8%)", f"{hostile} 7 (0.5%)", "ACTIVE 4 (100.0%)"} <= seen
    assert {"3 overdue by the rule started", "4 overdue by the rule abandoned"} <= seen
    assert {hostile, "shop.poll_status"} <= seen
    widths = [float(width) for width in re.findall(r"width: ([\d.]+)%", page.read_text())]
    assert len(widths) > 10
    assert max(widths) <= 100
