# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import tempfile
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.fleetops.celery.plugins.plugin_utils._package_contents import build


class ActionModule(ActionBase):  # type: ignore[misc]
    """Makes the package on the controller, and sends it to the module."""

    _supports_async = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        try:
            if arguments.get("state", "present") == "present":
                arguments["package"] = self._send(build())
            return dict(self._execute_module(module_args=arguments, task_vars=task_vars))
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _send(self, content: bytes) -> str:
        """Put *content* into the task's temporary folder on the host; return the file's name there."""
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        folder = self._connection._shell.tmpdir
        target = str(self._connection._shell.join_path(folder, "package.zip"))
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self._transfer_file(os.path.abspath(file.name), target)
        self._fixup_perms2((folder, target))
        return target
