# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: results_purge
short_description: Delete Celery task records by rules
version_added: 1.0.0
description:
  - Deletes the rows of a record table that its rules select, in small batches that are committed one by one.
  - A batch takes about a quarter of a second, so no other session waits longer, and a run that is interrupted has lost nothing.
  - Rows of unfinished tasks are never deleted unless a rule names their status. Group results and queue statistics go with the tasks of their
    age, but not before they are one day old, for the tasks of a younger group may still run. With O(rules[].all) they all go.
  - Members of a chord that still waits for them are kept, and counters of chords that cannot complete are deleted.
    Where the table of chords is there, rules without an age leave rows that end while this runs to the next run. A chord that began meanwhile
    may wait for them.
author:
  - fleetops.celery contributors (@fleetops)
extends_documentation_fragment:
  - fleetops.celery._attributes
  - fleetops.celery._database
  - fleetops.celery._database.table
  - fleetops.celery._database.alone
options:
  rules:
    description:
      - Which rows are deleted. A row counts for the first rule that selects it. The profile's own rules where not given.
    type: list
    elements: dict
    suboptions:
      name:
        description: What the rule is called in results. Its description where not given.
        type: str
      statuses:
        description:
          - Only rows in one of these statuses, in any case. V(*) stands for every status.
          - Where not given, rows whose task has ended, V(SUCCESS), V(FAILURE) and V(REVOKED).
        type: list
        elements: str
      older_than:
        description:
          - Only rows of at least this age, as V(90s), V(15m), V(24h), V(7d) or V(4w). Rows of any age where not given.
          - The age counts from when the task ended, or from when the record was created where that is missing.
        type: str
      tasks:
        description: Only rows of these tasks, with regard to case.
        type: list
        elements: str
      match:
        description:
          - How O(rules[].tasks) are compared with a row's task name, V(contains) where not given.
          - In a V(glob), V(*) stands for any text and V(?) for one character.
        type: str
        choices: [contains, exact, glob]
      keep_last:
        description: Keep the newest rows of each task that the rule selects, this many.
        type: int
      all:
        description: Delete every row, finished or not. It goes with no other condition, and needs O(confirm).
        type: bool
  zombie_rules:
    description:
      - Rules by which M(fleetops.celery.zombie_fail) ends rows just before this.
      - In check mode nothing has ended them, so rows that these rules select are counted as if they had been. Otherwise this has no effect.
    type: list
    elements: dict
    suboptions:
      name:
        description: What the rule is called.
        type: str
      statuses:
        description: The statuses of unfinished rows, in any case.
        type: list
        elements: str
        required: true
      since:
        description: Whether the age counts from when the task started or from when the record was created.
        type: str
        choices: [started, created]
        default: started
      older_than:
        description: From what age, as V(90s), V(15m), V(24h), V(7d) or V(4w).
        type: str
        required: true
      set_status:
        description: What the rows become. The profile's own where not given.
        type: str
      reason:
        description: Not used here.
        type: str
  zombie_proof:
    description: What O(fleetops.celery.zombie_fail#module:proof) says there. It needs O(compose), and likewise has no effect but in check mode.
    type: str
    choices: [containers]
  confirm:
    description: The table's name, to confirm O(rules[].all).
    type: str
  max_rows:
    description: End after this many rows, with those of the tables beside it that follow. The next run goes on.
    type: int
  max_percent:
    description: Fail, and delete nothing, where the rules select more than this share of the table.
    type: float
  time_budget:
    description: End after this time, as V(90s), V(15m) or V(2h). The next run goes on.
    type: str
  batch_size:
    description: The most rows that a batch looks at. Batches adapt to a quarter of a second within it.
    type: int
  pause:
    description: How long to pause after each batch, as V(1s).
    type: str
  stop_file:
    description: End before the next batch when this file is there.
    type: path
  strategy:
    description:
      - V(batches) deletes in batches. V(auto) rewrites the table where less than a third of its rows stay, under a lock that keeps everybody
        else out for at most O(exclusive_lock). That returns the space at once.
      - PostgreSQL does it in one transaction. The table keeps its grants, keys, sequence and place in replication. A session that began its
        snapshot before and reads the table only later finds it empty.
      - MariaDB, from 10.6, copies the rows that stay into a table of the same definition, which then takes the name. The user needs the
        rights to create, alter, drop and lock tables. What a run that was killed has left is dropped by the next one, with a warning.
      - It falls back to batches, and RV(strategy_reason) says why, on other databases, in a table of less than 50,000 rows, with triggers,
        child tables, foreign keys onto the table (on MariaDB also its own), in a publication that does not publish inserts, deletes and
        truncations alike, with O(max_rows) or O(time_budget), and where others hold the table or it takes too long.
      - A rule with C(all) empties such a table at once in either case.
    type: str
    choices: [auto, batches]
    default: batches
  exclusive_lock:
    description:
      - How long others may be locked out, as V(30s), with the time for which they wait behind this run's own wait for the lock.
      - Without it O(strategy=auto) rewrites nothing, and RV(strategy_reason) says so where few rows stay.
    type: str
  gates:
    description:
      - What to wait for before each batch. Without any, nothing is waited for.
      - A gate that stays closed for longer than O(gates.patience) ends the run with RV(stopped=gate). The next run goes on.
    type: dict
    suboptions:
      max_replica_lag:
        description:
          - Wait while a streaming replica is further behind than this, as V(10s). On PostgreSQL only, where the user needs the role C(pg_monitor).
        type: str
      vacuum:
        description: Wait while a C(VACUUM), C(ANALYZE) or index build works on the table. Only PostgreSQL has such.
        type: bool
      lock_waiters:
        description:
          - Wait while other sessions wait for a lock on the table, as a migration does. On MariaDB and MySQL, for a lock on any table of the database.
        type: bool
      condition:
        description:
          - A statement of your own that returns one number or truth value. Wait while that is zero or false.
          - It runs in a transaction that the server lets change nothing.
        type: str
      hours:
        description: Wait outside of this part of the day, as V(22:00-06:00) or V(22-6), by the clock of the host where the module runs.
        type: str
      patience:
        description:
          - How long a gate may stay closed before the run ends, as V(90s) or V(15m). Ten minutes where not given.
          - A run outside of O(gates.hours) that would have to wait longer than that ends at once.
        type: str
  referenced:
    description:
      - What to do with rows that foreign keys of other tables point at, be they records, rows of child tables, group results, queue statistics or
        counters of chords. What points at a child holds its record, and what points at the counter of a chord its members.
      - V(fail) deletes nothing where the rules select such a row, and names the table and the constraint. V(skip) leaves such rows.
      - V(follow) deletes the rows of the profile's own child tables first, as those of C(task_logs), and fails for others.
      - Where not given, V(follow) for a profile with child tables, and V(fail) for others.
      - A foreign key that cascades or sets to null holds nothing back.
    type: str
    choices: [fail, skip, follow]
  lock_timeout:
    description: How long a batch waits for rows that other sessions hold before it goes around them.
    type: str
    default: 2s
  archive:
    description:
      - Where rows are archived before they are deleted. Not archived where not given.
      - Each run writes one file of compressed JSON lines and its manifest, with mode V(0600). What is deleted and what is archived are the same rows,
        even where the run is killed. M(fleetops.celery.results_restore) puts them back.
      - On PostgreSQL larger batches are read by two more connections while the first deletes; where the server has none left, one does it all.
      - Rows that would go by another table's foreign key, with C(ON DELETE CASCADE), are never in an archive, so they count as O(referenced) says.
      - Nothing is written in check mode, nor where nothing is deleted.
    type: dict
    suboptions:
      path:
        description: An existing folder on the host where the module runs.
        type: path
        required: true
      compression:
        description:
          - V(zstd) needs Python 3.14 or the package C(zstandard).
          - V(auto) takes V(zstd) where it is available, else V(gzip).
        type: str
        choices: [auto, gzip, zstd]
        default: auto
notes:
  - While it deletes, the controller shows how many rows are done, how many there are to do, and how long that will take. It reads this every two
    seconds from a file on the host, and less often where more than five hosts run at once.
  - Where standard error is no terminal, and in AWX, it does so after half a minute, and then after each tenth of the rows.
  - Nothing is shown in check mode, with C(no_log) and for a task that is not polled.
seealso:
  - module: fleetops.celery.results_info
  - module: fleetops.celery.results_restore
  - module: fleetops.celery.results_vacuum
"""

EXAMPLES = r"""
- name: Delete finished results after seven days, and revoked ones at once
  fleetops.celery.results_purge:
    database_url: postgresql://shop:secret@127.0.0.1/shop

- name: Show what 30 days would delete
  fleetops.celery.results_purge:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    rules:
      - name: old
        older_than: 30d
  check_mode: true
  diff: true

- name: Delete results of tasks that run every few seconds
  fleetops.celery.results_purge:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    rules:
      - tasks: [check_and_flush_callbacks]
      - tasks: [cleanup_stuck_callbacks]
    time_budget: 15m

- name: Purge at night only, and never beside a migration or a busy queue
  fleetops.celery.results_purge:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    gates:
      hours: 22:00-06:00
      lock_waiters: true
      condition: SELECT count(*) < 100 FROM shop_order WHERE paid_at IS NULL
      patience: 30m

- name: Keep failures for a week and successes for a month, and drop what waited for a day
  fleetops.celery.results_purge:
    database_url: mysql://echoclip:secret@127.0.0.1/echoclip
    profile: processing_tasks
    rules:
      - statuses: [FAILURE]
        older_than: 7d
      - statuses: [SUCCESS]
        older_than: 30d
      - statuses: [PENDING]
        older_than: 1d

- name: Delete nine rows of ten, locking others out for half a minute at most
  fleetops.celery.results_purge:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    rules:
      - older_than: 7d
    strategy: auto
    exclusive_lock: 30s

- name: Archive what is deleted
  fleetops.celery.results_purge:
    database_url: postgresql://shop:secret@127.0.0.1/shop
    archive:
      path: /var/backups/shop

- name: Delete everything
  fleetops.celery.results_purge:
    database_url: sqlite:////srv/app/results.db
    profile: celery_database
    rules:
      - all: true
    confirm: celery_taskmeta
"""

RETURN = r"""
matched:
  description: How many rows the rules selected.
  returned: success
  type: int
  sample: 245
deleted:
  description: How many rows were deleted. V(0) in check mode.
  returned: success
  type: int
  sample: 245
rules:
  description:
    - The same for each rule. C(note) says why a rule could not select rows, for example by task name in a table without names.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "old", "matched": 198, "deleted": 198, "note": null}, {"name": "revoked", "matched": 47, "deleted": 47, "note": null}]
related:
  description:
    - Rows of the tables beside the record table, such as group results, that were deleted with it.
    - Limits, gates and locks hold for them as for the records. Where C(matched) is more than C(deleted), the next run takes the rest.
  returned: success
  type: list
  elements: dict
  sample: [{"table": "django_celery_results_groupresult", "matched": 3, "deleted": 3}]
protected:
  description: How many rows were kept because their chord still waits for them.
  returned: success
  type: int
  sample: 0
referenced:
  description: How many rows, with those of the tables that follow, were kept because rows of other tables point at them, with O(referenced=skip).
  returned: success
  type: int
  sample: 0
before:
  description:
    - The table before.
    - In a table of more than 200,000 rows C(total) is the server's estimate, and C(by_status) is empty, except in check mode, with C(--diff)
      and with O(max_percent), which count every row.
  returned: success
  type: dict
  sample:
    total: 1043
    size_bytes: 1310720
    table_bytes: 786432
    index_bytes: 524288
    dead_rows: 0
    estimates: [dead_rows]
    by_status: [{"status": "REVOKED", "count": 47}, {"status": "SUCCESS", "count": 996}]
after:
  description: The table afterwards; in check mode as it would be, at the same size, and where O(max_rows) ends it.
  returned: success
  type: dict
  sample:
    total: 798
    size_bytes: 1310720
    table_bytes: 786432
    index_bytes: 524288
    dead_rows: 245
    estimates: [dead_rows]
    by_status: [{"status": "SUCCESS", "count": 798}]
stopped:
  description:
    - Why it ended. V(drained) says that no matching row remains, nor one that follows.
    - V(time_budget), V(max_rows) and V(stop_file) say which limit was met, V(gate) that something outside held it back.
    - In check mode, V(max_rows) where that would end it, else V(drained).
  returned: success
  type: str
  sample: drained
stopped_reason:
  description: The same in words.
  returned: success
  type: str
  sample: no matching row remains
strategy:
  description: How the rows went, or in check mode would go. V(batches), V(rewrite) or V(truncate).
  returned: success
  type: str
  sample: batches
strategy_reason:
  description: Why it was V(batches), where something faster was asked for. Null where batches are as good, and O(exclusive_lock) was not given.
  returned: success
  type: str
  sample: it has only 1,043 rows
pauses:
  description: Which gates held the run up, and for how many seconds.
  returned: success
  type: list
  elements: dict
  sample: [{"gate": "lock_waiters", "seconds": 3.0}]
remaining:
  description: How many matching rows remain, with those of the tables beside it that follow.
  returned: success
  type: int
  sample: 0
batches:
  description: How many batches were committed.
  returned: success
  type: int
  sample: 3
duration_seconds:
  description: How long it took, in seconds.
  returned: success
  type: float
  sample: 0.231
rows_per_second:
  description: How many rows were deleted per second.
  returned: success
  type: int
  sample: 1060
archive:
  description:
    - What was archived, with the rows of the tables beside it. C(manifest) is the file to restore from, C(bytes) the size of the compressed file.
    - Null without O(archive), in check mode, and where nothing was deleted.
  returned: success
  type: dict
  sample:
    manifest: /var/backups/shop/django_celery_results_taskresult-20260801T031500Z-4f1a9c.manifest.json
    rows: 248
    bytes: 14336
    compression: zstd
report:
  description: The same in readable lines.
  returned: success
  type: list
  elements: str
  sample:
    - 'django_celery_results_taskresult: deleted 245 records (1,043 → 798)'
    - '  - old: 198 records (SUCCESS, FAILURE, REVOKED older than 7d)'
    - '  - revoked: 47 records (REVOKED at any age)'
"""

from typing import Any

from ansible_collections.fleetops.celery.plugins.module_utils._engine.census_report import census_diff
from ansible_collections.fleetops.celery.plugins.module_utils._engine.database import Database
from ansible_collections.fleetops.celery.plugins.module_utils._engine.durations import parse_duration
from ansible_collections.fleetops.celery.plugins.module_utils._engine.limits import parse_limits
from ansible_collections.fleetops.celery.plugins.module_utils._engine.purge import purge
from ansible_collections.fleetops.celery.plugins.module_utils._engine.purge_report import purge_document, purge_report
from ansible_collections.fleetops.celery.plugins.module_utils._engine.records import RecordTable
from ansible_collections.fleetops.celery.plugins.module_utils._engine.rules import (
    REFERENCED,
    parse_purge_rules,
    parse_zombie_rules,
)
from ansible_collections.fleetops.celery.plugins.module_utils._module import (
    GATES,
    PURGE_RULES,
    ZOMBIE_RULES,
    Module,
    chosen_profile,
    given_rules,
    run_module,
)
from ansible_collections.fleetops.celery.plugins.module_utils._progress_file import progress_file


def work(module: Module, database: Database) -> dict[str, Any]:
    profile = chosen_profile(module)
    rules = given_rules(module.params["rules"])
    zombies = given_rules(module.params["zombie_rules"])
    exclusive_lock = module.params["exclusive_lock"] if module.params["strategy"] == "auto" else None
    with progress_file() as watch:
        result = purge(
            database,
            RecordTable(database, profile),
            parse_purge_rules(rules) if rules is not None else profile.purge_rules,
            parse_limits(module.params),
            confirm=module.params["confirm"],
            check=module.check_mode,
            zombie_rules=parse_zombie_rules(zombies) if zombies else (),
            by_status=bool(module._diff),
            referenced=module.params["referenced"],
            exclusive_lock=parse_duration(exclusive_lock, "exclusive_lock") if exclusive_lock else None,
            auto=module.params["strategy"] == "auto",
            archive=_archive_place(module),
            watch=watch,
            containers=_containers(module),
        )
    for note in result.notes:
        module.warn(note)
    return {
        **purge_document(result),
        "report": purge_report(result),
        "diff": census_diff(result.table, result.before, result.after),
    }


def _archive_place(module: Module) -> Any:
    if module.params["archive"] is None:
        return None
    # Loaded only where it is needed: most runs archive nothing.
    from ansible_collections.fleetops.celery.plugins.module_utils._engine.archive import parse_archive

    return parse_archive(module.params["archive"])


def _containers(module: Module) -> Any:
    if not module.check_mode or not module.params["zombie_proof"] or module.project is None:
        return None
    from ansible_collections.fleetops.celery.plugins.module_utils._engine.proof import Containers

    return Containers(module.project.docker, module.project.containers)


def main() -> None:
    run_module(
        {
            "rules": PURGE_RULES,
            "zombie_rules": ZOMBIE_RULES,
            "zombie_proof": {"type": "str", "choices": ["containers"]},
            "confirm": {"type": "str"},
            "max_rows": {"type": "int"},
            "max_percent": {"type": "float"},
            "time_budget": {"type": "str"},
            "batch_size": {"type": "int"},
            "pause": {"type": "str"},
            "stop_file": {"type": "path"},
            "strategy": {"type": "str", "choices": ["auto", "batches"], "default": "batches"},
            "exclusive_lock": {"type": "str"},
            "gates": GATES,
            "referenced": {"type": "str", "choices": list(REFERENCED)},
            "lock_timeout": {"type": "str", "default": "2s"},
            "archive": {
                "type": "dict",
                "options": {
                    "path": {"type": "path", "required": True},
                    "compression": {"type": "str", "default": "auto", "choices": ["auto", "gzip", "zstd"]},
                },
            },
        },
        work,
        alone=True,
        required_by={"zombie_proof": "compose"},
    )


if __name__ == "__main__":
    main()
