# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each command does, with every option of the scripts that it replaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command import run_command, write_policy
from support.servers import Database
from support.tables import create_django_celery_results, create_processing_tasks, create_reading_sessions, dump, fill
from support.tables.rows import TASK_RESULT, processing_rows, task_results

BATCH = "customized.image_editor.tasks_batch."
LINE = "=" * 60


def _shop(database: Database) -> None:
    create_django_celery_results(database)
    rows = [
        task_results(100, days=0.1, task_name=BATCH + "check_and_flush_callbacks"),
        task_results(20, days=40, task_name=BATCH + "cleanup_stuck_callbacks"),
        task_results(6, days=8, task_name="agentic.tasks.run_graph_task"),
        task_results(3, "FAILURE", days=31, task_name="shop.crop"),
        task_results(2, "STARTED", days=2, task_name="shop.crop"),
    ]
    fill(database, TASK_RESULT, rows)


def _clip(database: Database) -> None:
    create_processing_tasks(database)
    rows = [
        processing_rows(4, "RUNNING", days=2),
        processing_rows(3, "RUNNING", days=0.6),
        processing_rows(5, "PENDING", days=1.5),
        processing_rows(2, "PENDING", days=0.06),
        processing_rows(7, "FAILURE", days=8),
        processing_rows(6, "FAILURE", days=4),
        processing_rows(9, "SUCCESS", days=31),
        processing_rows(8, "SUCCESS", days=10),
    ]
    fill(database, "processing_tasks", rows)


@pytest.fixture
def shop(make_database: Callable[..., Database]) -> Database:
    return make_database(_shop)


@pytest.fixture
def clip(make_database: Callable[..., Database]) -> Database:
    return make_database(_clip)


def test_statistics_in_the_layout_of_the_documents(shop: Database) -> None:
    before = dump(shop)
    done = run_command("stats", database=shop)
    assert (done.exit_code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == lines[2] == lines[-2] == LINE
    assert lines[1].startswith("celery-cleanup stats: ")
    assert "  Total records: 131" in lines
    assert any("check_and_flush_callbacks : 100 ( 76.3%)" in line for line in lines)
    assert any("started (STARTED for more than 24h): 2" in line for line in lines)
    assert lines[-1].startswith("Done at ")
    assert lines[-1].endswith("Only statistics were shown")
    assert dump(shop) == before


def test_without_a_command_it_shows_statistics(shop: Database) -> None:
    before = dump(shop)
    assert run_command("--json", database=shop).document["command"] == "stats"
    done = run_command(env={"CELERY_DATABASE_URL": shop.url})
    assert (done.exit_code, done.err) == (0, "")
    assert "  Total records: 131" in done.out.splitlines()
    assert run_command("--version").out.startswith("celery-cleanup ")
    assert dump(shop) == before


def test_how_much_the_statistics_tell_can_be_said(shop: Database) -> None:
    def told(*options: str) -> dict[str, Any]:
        (table,) = run_command("stats", *options, "--json", database=shop).document["tables"]
        return dict(table["before"])

    assert len(told("--top", "1")["by_task"]) == 1 < len(told()["by_task"])
    assert told("--period", "365d")["created_in_period"] == 131 > told()["created_in_period"]


@pytest.mark.parametrize(
    ("options", "deleted"),
    [
        (["--days", "30"], {"SUCCESS, FAILURE, REVOKED older than 30d": 23}),
        (["--days"], {"SUCCESS, FAILURE, REVOKED older than 30d": 23}),
        (["--days", "7"], {"SUCCESS, FAILURE, REVOKED older than 7d": 29}),
        (["--task-name", "run_graph_task", "shop"], {"task run_graph_task": 6, "task shop": 3}),
        (
            ["--high-frequency", "check_and_flush_callbacks", "trigger_batch_send"],
            {"check_and_flush_callbacks": 100, "trigger_batch_send": 0},
        ),
        (["--force-status", "started", "--older-than", "1"], {"STARTED older than 24h": 2}),
        (["--all", "--confirm", TASK_RESULT], {"every row": 131}),
        ([], {"old": 29, "revoked": 0}),
    ],
    ids=["days-30", "days", "days-7", "task-name", "high-frequency", "force-status", "all", "own-rules"],
)
def test_purge(shop: Database, options: list[str], deleted: dict[str, int]) -> None:
    before = dump(shop)
    planned = run_command("purge", *options, "--dry-run", "--json", database=shop)
    assert planned.exit_code == 0
    assert dump(shop) == before
    (plan,) = planned.document["tables"]
    assert {one["name"]: one["matched"] for one in plan["purge"]["rules"]} == deleted
    assert (plan["purge"]["deleted"], plan["after"], planned.document["dry_run"]) == (0, None, True)

    done = run_command("purge", *options, database=shop)
    assert done.exit_code == 0
    total = sum(deleted.values())
    assert shop.count(TASK_RESULT) == 131 - total
    assert f"{TASK_RESULT}: deleted {total} records (131 → {131 - total})" in done.out
    assert done.out.splitlines()[-1].endswith(f": {total} records deleted, 0 ended")

    again = run_command("purge", *options, "--json", database=shop)
    assert again.exit_code == 0
    assert again.document["tables"][0]["changed"] is False


def test_high_frequency_tasks_of_the_policy_alone(shop: Database, tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy.json", {"high_frequency_tasks": ["check_and_flush_callbacks"]})
    done = run_command("purge", "--high-frequency", "--policy", policy, "--json", database=shop)
    rules = done.document["tables"][0]["purge"]["rules"]
    assert [(one["name"], one["deleted"]) for one in rules] == [("check_and_flush_callbacks", 100)]


@pytest.mark.parametrize(
    ("options", "ended", "deleted"),
    [
        ([], {"running": 4, "pending": 5}, {"failure": 7, "success": 9}),
        (["--running-timeout", "12"], {"running": 7, "pending": 5}, {"failure": 7, "success": 9}),
        (
            [
                "--running-timeout",
                "12",
                "--pending-timeout",
                "1",
                "--failure-retention",
                "3",
                "--success-retention",
                "7",
            ],
            {"running": 7, "pending": 7},
            {"failure": 13, "success": 17},
        ),
        (["--pending-timeout", "48"], {"running": 4, "pending": 0}, {"failure": 7, "success": 9}),
    ],
    ids=["standard", "running", "all-four", "pending"],
)
def test_run_with_the_timeouts_and_retentions_of_the_second_document(
    clip: Database, options: list[str], ended: dict[str, int], deleted: dict[str, int]
) -> None:
    before = dump(clip)
    planned = run_command("run", *options, "--dry-run", "--json", database=clip).document["tables"][0]
    assert dump(clip) == before
    assert {one["name"]: one["matched"] for one in planned["zombies"]["rules"]} == ended

    done = run_command("run", *options, "--json", database=clip)
    assert done.exit_code == 0
    (table,) = done.document["tables"]
    assert {one["name"]: one["ended"] for one in table["zombies"]["rules"]} == ended
    assert {one["name"]: one["deleted"] for one in table["purge"]["rules"]} == deleted
    assert table["vacuum"]["steps"] or table["vacuum"]["left_out"]
    assert clip.count("processing_tasks") == 44 - sum(deleted.values())
    assert not run_command("run", *options, "--json", database=clip).document["tables"][0]["purge"]["changed"]


@pytest.mark.parametrize("option", ["running-timeout", "pending-timeout", "failure-retention", "success-retention"])
def test_no_age_is_longer_than_a_century(clip: Database, option: str) -> None:
    for age in ("1000000", "99999999999"):
        done = run_command("run", f"--{option}", age, database=clip)
        assert done.exit_code == 2
        assert f"--{option}: '{age}" in done.err
        assert "is longer than a hundred years." in done.err


def test_only_statistics_of_a_run(clip: Database) -> None:
    before = dump(clip)
    done = run_command("run", "--stats-only", database=clip)
    assert done.exit_code == 0
    assert "pending (PENDING for more than 2h): 5" in done.out
    assert dump(clip) == before


def test_fail_zombies(clip: Database) -> None:
    planned = run_command("fail-zombies", "--dry-run", database=clip)
    assert "processing_tasks: would end 9 records whose task is dead" in planned.out
    assert planned.out.splitlines()[-1].endswith("Dry run: nothing was changed")
    assert clip.scalar("SELECT count(*) FROM processing_tasks WHERE status = 'FAILURE'") == 13
    done = run_command("fail-zombies", "--running-timeout", "12", database=clip)
    assert (done.exit_code, done.out.splitlines()[-1].rpartition(": ")[2]) == (0, "0 records deleted, 12 ended")
    assert clip.scalar("SELECT count(*) FROM processing_tasks WHERE status = 'FAILURE'") == 25
    assert clip.count("processing_tasks") == 44


def test_vacuum(shop: Database, tmp_path: Path) -> None:
    without = {"tables": [{"profile": "django_celery_results", "vacuum": {"mode": "none", "min_dead_percent": 1}}]}
    policy = write_policy(tmp_path / "policy.json", without)
    # As cron calls it: a table that the policy leaves out is left alone.
    cron = ["--policy", policy, "--status-file", str(tmp_path / "status.json"), "--json"]
    for command in ("run", "vacuum"):
        left = run_command(command, *cron, database=shop)
        assert (left.exit_code, left.document["tables"][0]["vacuum"]) == (0, None)
    # Who names the table, its profile or a mode wants it all the same.
    for name in (["--table", TASK_RESULT], ["--profile", "django_celery_results"], ["--mode", "vacuum"]):
        assert run_command("vacuum", *name, *cron, database=shop).document["tables"][0]["vacuum"] is not None
    options = ["vacuum", "--mode", "full", "--policy", policy, "--json"]
    assert run_command(*options, database=shop).exit_code == 2
    confirmed = [*options, "--confirm", TASK_RESULT]
    planned = run_command(*confirmed, "--dry-run", database=shop)
    done = run_command(*confirmed, database=shop)
    assert (planned.exit_code, done.exit_code) == (0, 0)
    steps = done.document["tables"][0]["vacuum"]["steps"]
    assert steps == planned.document["tables"][0]["vacuum"]["steps"]
    if shop.kind == "postgresql":
        assert steps == ["VACUUM (FULL, ANALYZE)"]


def _all_three(database: Database) -> None:
    _shop(database)
    _clip(database)
    create_reading_sessions(database)


def test_several_tables_and_one_of_them(make_database: Callable[..., Database]) -> None:
    database = make_database(_all_three)
    shown = run_command("stats", "--json", database=database).document
    assert [one["table"] for one in shown["tables"]] == [TASK_RESULT, "processing_tasks", "reading_sessions"]
    unclear = run_command("purge", "--days", "7", database=database)
    assert unclear.exit_code == 2
    assert (
        f"--days: say which table with --profile or --table; there are {TASK_RESULT}, processing_tasks" in unclear.err
    )
    one = run_command("purge", "--days", "7", "--profile", "processing_tasks", "--json", database=database).document
    assert [table["table"] for table in one["tables"]] == ["processing_tasks"]
    assert database.count(TASK_RESULT) == 131
    # Its name is as good as its profile's.
    one = run_command("stats", "--table", "processing_tasks", "--json", database=database).document
    assert [table["before"]["profile"] for table in one["tables"]] == ["processing_tasks"]


def test_it_goes_on_with_the_next_table_where_one_fails(clip: Database, tmp_path: Path) -> None:
    tables = [{"profile": "django_celery_results", "table": "missing"}, {"profile": "processing_tasks"}]
    policy = write_policy(tmp_path / "policy.json", {"tables": tables})
    done = run_command("run", "--policy", policy, database=clip)
    assert done.exit_code == 2
    assert "Error: missing: " in done.err
    assert done.out.splitlines()[-1].startswith("Failed at ")
    assert clip.count("processing_tasks") == 28


@pytest.mark.parametrize(
    ("limits", "left", "reason"),
    [({"max_rows": 5}, 11, "max_rows"), ({"time_budget": "0s"}, 16, "time_budget")],
    ids=["max_rows", "time_budget"],
)
def test_a_run_that_leaves_rows_says_so(
    clip: Database, tmp_path: Path, limits: dict[str, object], left: int, reason: str
) -> None:
    policy = write_policy(tmp_path / "policy.json", {"limits": limits})
    done = run_command("run", "--policy", policy, "--json", database=clip)
    assert done.exit_code == done.document["exit_code"] == 3
    purged = done.document["tables"][0]["purge"]
    assert (purged["stopped"], purged["remaining"]) == (reason, left)
    assert run_command("run", "--policy", policy, "--dry-run", database=clip).exit_code == 0


def test_an_empty_database_has_nothing_to_do(database: Database) -> None:
    done = run_command("run", database=database) if database.kind != "sqlite" else None
    if done is None:
        database.execute("CREATE TABLE other (id INTEGER)")
        done = run_command("run", database=database)
    assert (done.exit_code, done.err) == (0, "")
    assert "There is no table that a profile knows." in done.out
