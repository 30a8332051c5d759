# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import secrets
import shlex
from collections.abc import Callable
from functools import partial
from typing import Any

from ansible import context
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible_collections.fleetops.celery.plugins.module_utils._engine.pace import Rhythm
from ansible_collections.fleetops.celery.plugins.module_utils._progress_file import VARIABLE
from ansible_collections.fleetops.celery.plugins.plugin_utils._progress_monitor import Monitor, rhythm

_CROWD = 5  # hosts at once, from which on each of them is looked at less often


class ActionModule(NormalAction):  # type: ignore[misc]
    """Runs the module as any other, and shows meanwhile how far it has come."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        if not self._shows_progress():
            return dict(super().run(tmp, task_vars))
        variables = task_vars or {}
        folder = self.get_shell_option("remote_tmp", default="~/.ansible/tmp")
        name = f"fleetops-celery-progress-{secrets.token_hex(16)}"
        environment = {VARIABLE: f"{folder}/{name}"}
        connect = partial(self._reader, folder, name)
        monitor = Monitor(connect, variables["inventory_hostname"], self._rhythm(variables))
        self._task.environment.append(environment)
        monitor.start()
        try:
            return dict(super().run(tmp, task_vars))
        finally:
            self._task.environment.remove(environment)
            if not self._task.async_val:
                monitor.finish()

    def _shows_progress(self) -> bool:
        unattended = self._task.async_val and not self._task.poll
        return not (self._task.check_mode or self._task.no_log or unattended)

    def _rhythm(self, variables: dict[str, Any]) -> Rhythm:
        hosts = min(len(variables.get("ansible_play_batch", ())), context.CLIARGS.get("forks") or 1)
        chosen = rhythm()
        return chosen._replace(seconds=chosen.seconds * max(1, hosts / _CROWD))

    def _reader(self, folder: str, name: str) -> Callable[[], str]:
        """Return what reads the file where the module runs, as the user whom it runs as.

        The module occupies this connection, so it is done over another one with the same options. That
        one is not closed, as some plugins share what is beneath among the connections to a host.
        """
        reader = copy.copy(self)
        reader._connection = copy.copy(self._connection)
        reader._connection._shell = copy.copy(self._connection._shell)
        reader._connection.become = copy.copy(self._connection.become)
        # The folder is expanded by the shell, as Ansible itself does it.
        command = f'cat "$(echo {folder})"/{shlex.quote(name)}'
        return lambda: str(reader._low_level_execute_command(command)["stdout"])
