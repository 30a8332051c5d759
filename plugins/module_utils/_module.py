# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bridge between Ansible's modules and the engine.

It is **private** to the collection: it can change at any time.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ._engine.database import DEFAULT_LOCK_TIMEOUT, Database
from ._engine.drivers import needed_modules, parse_url
from ._engine.durations import parse_duration
from ._engine.errors import CleanupError, MissingLibraryError
from ._engine.libraries import sqlalchemy_version
from ._engine.profiles import DEFAULT_PROFILE, PROFILES, Profile, find_profile
from ._engine.rules import MATCHES, SINCE

if TYPE_CHECKING:
    from ._engine.compose import Project

#: Where the role prerequisites puts the libraries (for root, and for anybody else), and the
#: interpreter that the distribution's own packages serve.
INTERPRETERS = (
    "/opt/fleetops-celery/venv/bin/python",
    "~/.local/share/fleetops-celery/venv/bin/python",
    "/usr/bin/python3",
)

#: Objects more than before, from which on Python looks for garbage; a task of a few queries makes a tenth of them.
_GARBAGE = 100_000

Specification = dict[str, Any]

_DATABASE: Specification = {
    "database_url": {"type": "str", "no_log": True},
    "compose": {
        "type": "dict",
        "options": {
            "project_dir": {"type": "path"},
            "project_name": {"type": "str"},
            "containers": {"type": "list", "elements": "str"},
            "database_service": {"type": "str"},
            "app_service": {"type": "str"},
            "docker_cli": {"type": "path"},
        },
        "required_one_of": [("project_dir", "project_name")],
    },
}
_TABLE: Specification = {
    "profile": {"type": "str", "default": DEFAULT_PROFILE, "choices": list(PROFILES)},
    "table": {"type": "str"},
    "columns": {"type": "dict"},
}

PURGE_RULES: Specification = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str"},
        "statuses": {"type": "list", "elements": "str"},
        "older_than": {"type": "str"},
        "tasks": {"type": "list", "elements": "str"},
        "match": {"type": "str", "choices": list(MATCHES)},
        "keep_last": {"type": "int"},
        "all": {"type": "bool"},
    },
}
ZOMBIE_RULES: Specification = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str"},
        "statuses": {"type": "list", "elements": "str", "required": True},
        "since": {"type": "str", "default": "started", "choices": list(SINCE)},
        "older_than": {"type": "str", "required": True},
        "set_status": {"type": "str"},
        "reason": {"type": "str"},
    },
}

GATES: Specification = {
    "type": "dict",
    "options": {
        "max_replica_lag": {"type": "str"},
        "vacuum": {"type": "bool"},
        "lock_waiters": {"type": "bool"},
        "condition": {"type": "str"},
        "hours": {"type": "str"},
        "patience": {"type": "str"},
    },
}


class Module(AnsibleModule):  # type: ignore[misc]
    """A module that may be told a Compose project."""

    @cached_property
    def project(self) -> Project | None:
        """The project that ``compose`` describes, asked once; ``None`` where it is not given."""
        if not self.params["compose"]:
            return None
        if not sqlalchemy_version():
            # First of all, for a module that starts again asks Docker all over. What kind of database it will be is
            # not known yet, so this is for who has the drivers of each.
            start_again(["sqlalchemy, psycopg2, pymysql"])
        # Loaded only where it is needed: the rest of a module's work takes no longer than that.
        from ._engine.compose import Project

        return Project(self.params["compose"])


Work = Callable[[Module, Database], Specification]


def new_module(
    own: Specification, *, table: bool = True, both: bool = False, required_by: dict[str, str] | None = None
) -> Module:
    """Return the module with the options that say where the database is, and its *own*.

    :param table: whether it takes ``profile``, ``table`` and ``columns``
    :param both: whether it takes a project beside the database's URL
    """
    # Libraries are no garbage: to look through them again and again takes longer than a small query. Nor is what a few
    # queries leave worth a look.
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    module = Module(
        argument_spec={**_DATABASE, **(_TABLE if table else {}), **own},
        mutually_exclusive=[] if both else [("database_url", "compose")],
        required_by=required_by or {},
        supports_check_mode=True,
    )
    if not module.params["database_url"] and not module.params["compose"]:
        _take_from_environment(module)
    return module


def _take_from_environment(module: Module) -> None:
    """Let the host's environment say where the database is, since the task does not.

    Ansible's own fallback would do so beside ``compose`` too, which it excludes.
    """
    url = os.environ.get("CELERY_DATABASE_URL")
    if not url:
        module.fail_json(msg="one of the following is required: database_url, compose")
    module.no_log_values.add(url)
    module.params["database_url"] = url


def run_module(
    own: Specification,
    work: Work,
    *,
    table: bool = True,
    reads: bool = False,
    alone: bool = False,
    required_by: dict[str, str] | None = None,
) -> None:
    """Run a module: read its arguments, open the database, and exit with what *work* returns.

    :param reads: whether it only reads, in every mode
    :param alone: whether it changes the table as a run of the command does, which no other may be at meanwhile
    """
    module = new_module(own, table=table, required_by=required_by)
    try:
        with open_database(module, read_only=reads or module.check_mode) as database:
            alone = alone and not module.check_mode
            with _table_lock(module, database) if alone else nullcontext():
                result = work(module, database)
    except CleanupError as error:
        module.fail_json(msg=str(error), changed=error.changed)
    if not module._diff:
        result.pop("diff", None)
    # The driver has come since the module began; Python would look through it for garbage before it ends.
    gc.freeze()
    module.exit_json(**{"changed": False, **result})


def _table_lock(module: Module, database: Database) -> AbstractContextManager[None]:
    # Loaded only where it is needed: whoever reads needs none.
    from ._engine.table_lock import table_lock

    return table_lock(database, chosen_profile(module).table)


def open_database(module: Module, *, read_only: bool) -> Database:
    """Open the database that ``database_url`` names, or else ``compose``.

    Where this interpreter lacks a library, the module starts again, once, in one that has them.
    """
    url = module.params["database_url"]
    if not url and module.project:
        url = module.project.database_url()
    try:
        parse_url(url)
    except MissingLibraryError:
        start_again(needed_modules(url))
        raise
    given = module.params.get("lock_timeout")
    timeout = parse_duration(given, "lock_timeout") if given else DEFAULT_LOCK_TIMEOUT
    return Database(url, read_only=read_only, lock_timeout=timeout)


def start_again(choices: Sequence[str]) -> None:
    """Start the module again, once, in an interpreter that has all modules of one of *choices*, if there is one."""
    # Loaded only where it is needed: most interpreters have what there is to have.
    from ansible.module_utils.common.respawn import has_respawned, probe_interpreters_for_module, respawn_module

    if has_respawned():
        return
    candidates = [os.path.expanduser(path) for path in INTERPRETERS]
    for modules in choices:
        interpreter = probe_interpreters_for_module(candidates, modules)
        if interpreter:
            respawn_module(interpreter)


def chosen_profile(module: Module) -> Profile:
    """Return the profile that the arguments name, with their table and columns."""
    params = module.params
    return find_profile(params["profile"], params["table"], params["columns"])


def given_rules(rules: list[Specification] | None) -> list[Specification] | None:
    """Return *rules* without the keys that nobody gave; Ansible fills them with ``None``."""
    if rules is None:
        return None
    return [{key: value for key, value in rule.items() if value is not None} for rule in rules]
