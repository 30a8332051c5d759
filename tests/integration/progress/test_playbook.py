# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of a purge, as `ansible-playbook` shows it while it runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.running import CHECKOUT, PlaybookRun
from support.servers import Database, PostgreSQL, SQLite
from support.servers.processes import free_port
from support.tables import create_processing_tasks, fill
from support.tables.rows import processing_rows

RunPlaybook = Callable[..., PlaybookRun]

TABLE = "processing_tasks"
ROWS, BATCH = 8_000, 1_000
VARIABLE = "FLEETOPS_CELERY_PROGRESS"
LINE = re.compile(
    r"^(shop|clip): ([\d,]+) (?:of about ([\d,]+) rows \(\d+ %\), [\d,]+ rows/s, \d+ s left|rows, )", re.M
)
PURGE = {"profile": TABLE, "batch_size": BATCH, "pause": "1s", "rules": [{"older_than": "7d"}]}
# Of a result, what differs from run to run.
CLOCKS = ("duration_seconds", "rows_per_second", "report", "before", "after", "diff")


def _filled(database: Database) -> Database:
    create_processing_tasks(database)
    fill(database, TABLE, [processing_rows(ROWS, "SUCCESS", 40)])
    return database


@pytest.fixture
def shop(postgresql: PostgreSQL) -> Iterator[Database]:
    database = _filled(postgresql.new_database())
    database.execute(f"ANALYZE {TABLE}")
    yield database
    database.drop()


@pytest.fixture
def clip(sqlite: SQLite) -> Iterator[Database]:
    database = _filled(sqlite.new_database())
    yield database
    database.drop()


@pytest.fixture
def play(tmp_path: Path, run_playbook: RunPlaybook) -> RunPlaybook:
    """`play(url=…, keywords={…}, options={…})` purges a database for each host; the rest goes to `run_playbook`."""

    def run(
        keywords: Mapping[str, Any] | None = None, options: Mapping[str, Any] | None = None, **others: Any
    ) -> PlaybookRun:
        urls = {name: others.pop(name) for name in ("shop", "clip") if name in others}
        inventory, playbook = tmp_path / "inventory.json", tmp_path / "play.yml"
        inventory.write_text(json.dumps({"all": {"hosts": {name: {"url": url} for name, url in urls.items()}}}))
        task = {
            "fleetops.celery.results_purge": {"database_url": "{{ url }}", **(PURGE if options is None else options)}
        }
        tasks = [{**task, **(keywords or {})}]
        playbook.write_text(
            json.dumps([{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}])
        )
        folder = tmp_path / "remote"
        env = {"ANSIBLE_REMOTE_TEMP": str(folder), **others.pop("env", {})}
        done = run_playbook(playbook, inventory, env=env, **others)
        left = list(folder.glob("fleetops-celery-progress*"))
        assert not left, f"{left[0]} was left behind:\n{done.output}"
        return done

    return run


def _lines(run: PlaybookRun, host: str) -> list[int]:
    """How many rows were done in each line that was shown for *host*."""
    return [int(found[1].replace(",", "")) for found in LINE.findall(run.output) if found[0] == host]


def _assert_growing(done: list[int]) -> None:
    assert len(done) >= 2, done
    assert done == sorted(set(done))
    assert all(0 < number <= ROWS for number in done)


def test_two_hosts_side_by_side(play: RunPlaybook, shop: Database, clip: Database) -> None:
    run = play(shop=shop.url, clip=clip.url, terminal=True, env={"ANSIBLE_FORKS": "2"})
    for host in ("shop", "clip"):
        _assert_growing(_lines(run, host))
        assert run.results("results_purge", host)[0]["deleted"] == ROWS
    # The planner tells how many rows there are to do, SQLite does not.
    totals = {host: {found[2] for found in LINE.findall(run.output) if found[0] == host} for host in ("shop", "clip")}
    assert totals == {"shop": {f"{ROWS:,}"}, "clip": {""}}
    # Nothing is said of a host that is done.
    assert run.output.rindex("rows/s") < run.output.index("PLAY RECAP")


@pytest.mark.parametrize(
    "keywords", [{"delegate_to": "localhost"}, {"async": 300, "poll": 1}, {"loop": [1, 2]}], ids=str
)
def test_other_ways_to_run_it(play: RunPlaybook, shop: Database, keywords: dict[str, Any]) -> None:
    # Longer than elsewhere: with async the module itself begins late on a busy machine.
    run = play(shop=shop.url, keywords=keywords, options={**PURGE, "pause": "2s"}, terminal=True)
    _assert_growing(_lines(run, "shop"))
    assert run.exit_code == 0
    assert shop.count(TABLE) == 0


def test_a_short_run_without_a_terminal_is_quiet(play: RunPlaybook, clip: Database) -> None:
    run = play(clip=clip.url)
    assert run.results("results_purge")[0]["deleted"] == ROWS
    assert _lines(run, "clip") == []


@pytest.mark.parametrize("awx", [False, True])
def test_a_long_run_without_a_terminal_is_told_in_steps(play: RunPlaybook, shop: Database, awx: bool) -> None:
    # AWX has a terminal, but nobody who watches it.
    env = {"ANSIBLE_CALLBACKS_ENABLED": "record_results,hurry", **({"AWX_ISOLATED_DATA_DIR": "/runner"} if awx else {})}
    done = _lines(play(shop=shop.url, terminal=awx, env=env), "shop")
    _assert_growing(done)
    assert all(later - earlier >= 0.3 * ROWS for earlier, later in zip(done, done[1:], strict=False))


@pytest.mark.parametrize(
    ("keywords", "asks"),
    [
        ({}, True),
        ({"async": 300, "poll": 1}, True),
        ({"async": 60, "poll": 0}, False),
        ({"check_mode": True}, False),
        ({"no_log": True}, False),
    ],
    ids=str,
)
def test_when_a_module_is_asked_for_progress(play: RunPlaybook, keywords: dict[str, Any], asks: bool) -> None:
    run = play(shop="sqlite:////nowhere", keywords=keywords, verbosity=3)
    assert (VARIABLE in run.output) is asks


def test_results_are_those_of_the_module_alone(play: RunPlaybook, clip: Database, tmp_path: Path) -> None:
    alone = tmp_path / "ansible_collections" / "fleetops" / "celery"
    for part in ("meta", "plugins"):
        shutil.copytree(CHECKOUT / part, alone / part)
    shutil.rmtree(alone / "plugins" / "action")
    urls = {"shop": f"postgresql://shop:secret@127.0.0.1:{free_port()}/shop", "clip": clip.url}
    options = {**PURGE, "pause": "0s"}
    results = []
    for env in ({"ANSIBLE_COLLECTIONS_PATH": str(tmp_path)}, {}):
        if clip.count(TABLE) == 0:
            fill(clip, TABLE, [processing_rows(ROWS, "SUCCESS", 40)])
        run = play(**urls, options=options, env=env, verbosity=3, terminal=True)
        assert (VARIABLE in run.output) is (not env)
        away, done = (run.results("results_purge", host)[0] for host in ("shop", "clip"))
        assert {task["host"]: task["outcome"] for task in run.tasks} == {"shop": "failed", "clip": "ok"}
        assert "127.0.0.1" in away["msg"]
        assert done["deleted"] == ROWS
        results.append([away, {key: value for key, value in done.items() if key not in CLOCKS}])
    assert results[0] == results[1]
