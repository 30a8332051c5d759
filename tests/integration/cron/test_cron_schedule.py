# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role cron_schedule: what it puts on a host, that it takes it back, and that a real cron runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import provide
from support.cron import cron
from support.running import PlaybookRun, run_playbook
from support.servers import Database
from support.tables import create_django_celery_results, fill
from support.tables.rows import TASK_RESULT, task_results
from support.waiting import wait_until

SECRET = "Pa55word"


def _shop(database: Database) -> None:
    create_django_celery_results(database)
    fill(database, TASK_RESULT, [task_results(30, days=30), task_results(5, days=1)])


@dataclass
class Host:
    """A folder in which the role believes to be at the root; deployments with their variables."""

    root: Path
    deployments: dict[str, dict[str, Any]] = field(default_factory=dict)
    common: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in ("etc/cron.d", "etc/logrotate.d", "usr/sbin"):
            (self.root / folder).mkdir(parents=True)
        self.daemon.symlink_to("/bin/true")
        self.common = {
            "ansible_connection": "local",
            "cron_schedule_python": sys.executable,
            "cron_schedule_command": str(self.command),
            "_cron_schedule_root": str(self.root),
        }

    @property
    def command(self) -> Path:
        return self.root / "opt" / "celery-cleanup"

    @property
    def daemon(self) -> Path:
        return self.root / "usr" / "sbin" / "cron"

    @property
    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.root)): path.read_text()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and path not in (self.command, self.daemon)
        }

    def entries(self, name: str) -> str:
        return (self.root / "etc/cron.d" / f"fleetops-celery-{name}").read_text()

    def run(self, *options: str, check: bool = False, diff: bool = False, **variables: Any) -> PlaybookRun:
        inventory = self.root.with_name("hosts.json")
        inventory.write_text(json.dumps({"all": {"hosts": self.deployments}}))
        # Extra variables, as they go before those of the role.
        extra = {**self.common, **variables}
        return run_playbook("fleetops.celery.schedule", inventory, extra, check=check, diff=diff, options=options)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host", {"shop": {"celery_database_url": f"postgresql://shop:{SECRET}@127.0.0.1/shop"}})


def _changed(run: PlaybookRun) -> dict[str, int]:
    assert run.exit_code == 0, run.output
    return {name: counts["changed"] for name, counts in run.recap.items()}


def test_it_comes_once_and_goes(host: Host) -> None:
    host.deployments["shop"].update(
        cleanup_limits={"time_budget": "30m"},
        cleanup_high_frequency_tasks=["flush"],
        cron_schedule_vacuum="5 4 * * sun",
    )
    planned = host.run(check=True, diff=True)
    assert _changed(planned)["shop"] > 0
    assert host.files == {}

    made = host.run(diff=True)
    assert _changed(made)["shop"] > 0
    assert sum(made.recap["shop"][word] for word in ("ok", "skipped")) <= 25
    assert sorted(host.files) == [
        "etc/cron.d/fleetops-celery-shop",
        "etc/fleetops-celery/shop.json",
        "etc/logrotate.d/fleetops-celery",
    ]
    policy = host.root / "etc/fleetops-celery/shop.json"
    assert policy.stat().st_mode & 0o777 == 0o600
    assert json.loads(policy.read_text()) == {
        "database_url": f"postgresql://shop:{SECRET}@127.0.0.1/shop",
        "high_frequency_tasks": ["flush"],
        "limits": {"time_budget": "30m"},
    }
    lines = [line for line in host.entries("shop").splitlines() if " root " in line]
    minute = lines[0].split()[0]
    assert [line.partition(" root ")[0] for line in lines] == [f"{minute} 1 * * *", f"{minute} 2 * * *", "5 4 * * 0"]
    assert 'MAILTO="root"' in host.entries("shop")
    assert SECRET not in planned.output + made.output

    assert _changed(host.run(check=True)) == {"shop": 0}
    assert _changed(host.run()) == {"shop": 0}

    before = host.files
    assert _changed(host.run(check=True, cron_schedule_state="absent"))["shop"] > 0
    assert host.files == before
    assert _changed(host.run(cron_schedule_state="absent"))["shop"] > 0
    assert host.files == {}
    assert not host.command.exists()
    assert _changed(host.run(cron_schedule_state="absent")) == {"shop": 0}


def test_what_the_command_needs_comes_with_it(host: Host) -> None:
    """By a virtual environment, which two deployments of one machine do not make at the same moment."""
    python = host.root / "python"
    # Whoever comes while another makes the environment, fails.
    python.write_text(f"""#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {sys.executable} "$@"
mkdir {host.root}/busy && {sys.executable} "$@" && sleep 2 && rmdir {host.root}/busy
""")
    python.chmod(0o755)
    host.deployments["clip"] = host.deployments["shop"]
    home = host.root / "opt"
    options = {
        "cron_schedule_python": "",
        "prerequisites_python": str(python),
        "prerequisites_databases": [],
        "_prerequisites_home": str(home),
    }
    made = host.run(**options)
    assert _changed(made)["clip"] > 0
    counts = [sum(one[word] for word in ("ok", "skipped")) for one in made.recap.values()]
    assert max(counts) <= 25, counts
    assert host.command.read_bytes().startswith(f"#!{home}/venv/bin/python".encode())
    assert _changed(host.run(**options)) == {"shop": 0, "clip": 0}


#: As the role calls clip.example.com.
CLIP = "clip_example_com-68af68e2"


def test_several_deployments_on_a_host(host: Host) -> None:
    host.deployments["clip.example.com"] = {"celery_compose_project_dir": "/srv/clip", "cron_schedule_mailto": ""}
    _changed(host.run())
    assert json.loads((host.root / f"etc/fleetops-celery/{CLIP}.json").read_text()) == {
        "compose": {"project_dir": "/srv/clip"}
    }
    clip = host.entries(CLIP)
    assert 'MAILTO=""' in clip
    # Where Ubuntu has the docker of its store, by which the database is found.
    assert "/snap/bin" in clip
    assert _changed(host.run()) == {"shop": 0, "clip.example.com": 0}

    # A change replaces entries, and a time that is empty has none.
    host.deployments["clip.example.com"].update(cron_schedule_cleanup="7 3 1 jan-mar *", cron_schedule_dry_run="")
    assert _changed(host.run()) == {"shop": 0, "clip.example.com": 1}
    lines = [line for line in host.entries(CLIP).splitlines() if " root " in line]
    assert [line.partition(" root ")[0] for line in lines][:-1] == ["7 3 1 1,2,3 *"]

    # The command stays for the other one.
    _changed(host.run("--limit", "shop", cron_schedule_state="absent"))
    assert host.command.exists()
    assert sorted(host.files) == [
        f"etc/cron.d/fleetops-celery-{CLIP}",
        f"etc/fleetops-celery/{CLIP}.json",
        "etc/logrotate.d/fleetops-celery",
    ]
    _changed(host.run(cron_schedule_state="absent"))
    assert host.files == {}
    assert not host.command.exists()


def test_all_deployments_of_a_host_go_at_once(host: Host) -> None:
    """Each of them is the last one, and removes what they shared. It tries again where another was quicker."""
    host.deployments = {f"shop{number}": {"celery_compose_project_name": "shop"} for number in range(5)}
    _changed(host.run())
    _changed(host.run(cron_schedule_state="absent"))
    assert host.files == {}
    assert not host.command.exists()


def test_names_that_differ_in_what_cron_does_not_take(host: Host) -> None:
    """Each has a policy of its own, and one goes without the other."""
    host.deployments = {name: {"celery_compose_project_name": name} for name in ("shop.eu", "shop_eu")}
    _changed(host.run())
    policies = host.root / "etc/fleetops-celery"
    names = {json.loads(path.read_text())["compose"]["project_name"]: path.stem for path in policies.iterdir()}
    assert sorted(names) == ["shop.eu", "shop_eu"]
    # A name that needs no change has none.
    assert names["shop_eu"] == "shop_eu"
    assert names["shop.eu"] in host.entries(names["shop.eu"])
    assert names["shop.eu"] not in host.entries("shop_eu")
    _changed(host.run("--limit", "shop.eu", cron_schedule_state="absent"))
    assert [path.stem for path in policies.iterdir()] == ["shop_eu"]


def test_reading_sessions_are_closed_every_half_an_hour(host: Host) -> None:
    host.deployments = {"shop1": {"celery_compose_project_name": "reader"}}
    tables = [{"profile": "django_celery_results"}, {"profile": "reading_sessions"}]
    _changed(host.run(cleanup_tables=tables))
    lines = [line for line in host.entries("shop1").splitlines() if " root " in line]
    # A quarter of an hour away from the others, which begin at 48.
    assert [line.partition(" root ")[0] for line in lines][-1] == "3,33 * * * *"
    assert " fail-zombies --policy " in lines[-1]
    for options in (
        {"cleanup_tables": tables, "cron_schedule_zombies": ""},
        {"cleanup_tables": [tables[0], {**tables[1], "zombie_rules": []}]},
    ):
        _changed(host.run(**options))
        assert "fail-zombies" not in host.entries("shop1")


def test_minutes_are_spread_over_the_fleet_and_stay(host: Host) -> None:
    host.deployments = {f"shop{number}": {"celery_compose_project_name": "shop"} for number in range(6)}
    _changed(host.run())
    minutes = {name: host.entries(name).splitlines()[4].split()[0] for name in host.deployments}
    assert minutes == {"shop0": "22", "shop1": "48", "shop2": "47", "shop3": "51", "shop4": "55", "shop5": "58"}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"cron_schedule_cleanup": "0 25 * * *"}, "'25' is no hour"),
        ({"cron_schedule_dry_run": "0 2 * *"}, "has 4 fields; it needs five"),
        ({"cron_schedule_vacuum": "0 H * * *"}, "'H' is no hour"),
        ({"cron_schedule_vacuum": "0 1 * * 7"}, "'7' is no day of week"),
        ({"cron_schedule_vacuum": "0 1 * * 0\n* * * * * root rm -r /"}, "it needs five"),
        ({"cron_schedule_zombies": "H/0 * * * *"}, "'H/0' is no minute"),
        ({"cron_schedule_mailto": 'me"\nSHELL="/bin/x'}, "cron_schedule_mailto names or addresses"),
        ({"cron_schedule_command": "/opt/a; rm"}, "cron_schedule_command must be an absolute path"),
        ({"cron_schedule_command": "celery-cleanup"}, "cron_schedule_command must be an absolute path"),
        ({"cron_schedule_state": "gone"}, "value of cron_schedule_state must be one of: present, absent"),
        ({"cleanup_limits": {"time_budget": "soon"}}, "'soon' is not a duration"),
        ({"cleanup_limits": {"budget": "1h"}}, "policy: limits: unknown key budget"),
        ({"cleanup_archive": {"path": "/srv", "compression": "bz2"}}, "compression 'bz2' is unknown"),
        ({"cleanup_tables": [{"profile": "celery"}]}, "policy: table 1: profile 'celery' is unknown"),
        ({"celery_database_url": ""}, "say where the database is"),
        ({"celery_schedule": "at"}, "celery_schedule must be cron or beat"),
        ({"cron_schedule_python": "python3"}, "python:"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_changed(host: Host, variables: dict[str, Any], message: str) -> None:
    run = host.run(**variables)
    assert run.exit_code != 0
    assert message in " ".join(run.output.split())
    assert SECRET not in run.output
    assert host.files == {}


def test_a_host_without_the_folder_of_cron(host: Host) -> None:
    (host.root / "etc/cron.d").rmdir()
    _is_missing(host, "etc/cron.d")


def test_a_host_without_cron(host: Host) -> None:
    """On Debian the folder is there all the same, as it comes with e2fsprogs."""
    host.daemon.unlink()
    _is_missing(host, "The daemon of cron")


def _is_missing(host: Host, what: str) -> None:
    for check in (True, False):
        run = host.run(check=check)
        assert run.exit_code != 0
        assert f"{what} on shop is missing: install cron and logrotate." in " ".join(run.output.split())
        assert host.files == {}


@pytest.fixture
def scheduled(host: Host, postgresql_database: Database) -> Iterator[Callable[..., None]]:
    """`scheduled(**variables)`: a deployment is installed, and cron runs its entries."""
    _shop(postgresql_database)
    host.deployments["shop"] = {"celery_database_url": postgresql_database.url}
    running = cron(host.root / "etc/cron.d")

    def start(**variables: Any) -> None:
        _changed(host.run(**{"cron_schedule_dry_run": "", "cron_schedule_vacuum": "", **variables}))
        provide(running.__enter__)

    yield start
    running.__exit__(None, None, None)


def test_cron_runs_it(host: Host, scheduled: Callable[..., None], postgresql_database: Database) -> None:
    scheduled(cron_schedule_cleanup="* * * * *")
    status = host.root / "var/lib/fleetops-celery/shop.json"
    wait_until(status.exists, seconds=90)
    told = json.loads(status.read_text())
    assert (told["exit_code"], told["error"]) == (0, None)
    assert [(one["table"], one["deleted"]) for one in told["tables"]] == [(TASK_RESULT, 30)]
    assert postgresql_database.count(TASK_RESULT) == 5
    log = host.root / "var/log/fleetops-celery/shop.log"
    wait_until(lambda: "30 records deleted, 0 ended" in log.read_text())
    assert str(postgresql_database.password) not in log.read_text()

    # What logrotate makes of it goes with the deployment too.
    rotate = [
        "logrotate",
        "--force",
        "--state",
        str(host.root / "state"),
        str(host.root / "etc/logrotate.d/fleetops-celery"),
    ]
    subprocess.run(rotate, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, check=True)
    (host.root / "state").unlink()
    assert log.with_name("shop.log.1").exists()
    _changed(host.run(cron_schedule_state="absent"))
    assert host.files == {}


def test_a_dry_run_by_cron_only_writes_into_the_log(
    host: Host, scheduled: Callable[..., None], postgresql_database: Database
) -> None:
    scheduled(cron_schedule_cleanup="", cron_schedule_dry_run="* * * * *")
    log = host.root / "var/log/fleetops-celery/shop.log"
    wait_until(lambda: log.exists() and "Dry run: nothing was changed" in log.read_text(), seconds=90)
    assert f"{TASK_RESULT}: would delete 30 records" in log.read_text()
    assert postgresql_database.count(TASK_RESULT) == 35
    statuses = host.root / "var/lib/fleetops-celery"
    assert [file.name for file in statuses.iterdir()] == ["shop.dry-run.json"]
    told = json.loads((statuses / "shop.dry-run.json").read_text())
    assert (told["command"], told["dry_run"], told["exit_code"]) == ("run", True, 0)

    # Monitoring is not left with what nothing writes any more.
    assert _changed(host.run(cron_schedule_dry_run="", cron_schedule_vacuum=""))["shop"] > 0
    assert list(statuses.iterdir()) == []


def test_a_failure_is_told(host: Host) -> None:
    """What cron would send by mail, and the status files, where the database is away."""
    host.deployments["shop"]["celery_database_url"] = f"sqlite:///{host.root}/missing.sqlite"
    host.deployments["shop"]["cron_schedule_zombies"] = "H/10 * * * *"
    _changed(host.run())
    log = host.root / "var/log/fleetops-celery/shop.log"
    for command, status in (
        ("run --dry-run", "shop.dry-run"),
        ("run", "shop"),
        ("vacuum", "shop.vacuum"),
        ("fail-zombies", "shop.fail-zombies"),
    ):
        (line,) = (line for line in host.entries("shop").splitlines() if f" {command} --policy" in line)
        done = _as_cron_does(line)
        assert done.stdout == f"celery-cleanup {command} of shop ended with exit code 2, see {log}\n"
        assert done.stderr == ""
        assert "does not exist where this ran" in log.read_text()
        log.write_text("")
        told = json.loads((host.root / f"var/lib/fleetops-celery/{status}.json").read_text())
        assert told["exit_code"] == 2
        assert "does not exist where this ran" in told["error"]


def _as_cron_does(line: str) -> subprocess.CompletedProcess[str]:
    """Run what comes after the fields and the user."""
    return subprocess.run(
        ["sh", "-c", line.partition(" root ")[2]],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
