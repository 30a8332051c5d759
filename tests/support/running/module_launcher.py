# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the module's process: hands it the arguments from standard input, as ansible-core's wrapper would."""

from __future__ import annotations

import json
import runpy
import sys

from ansible.module_utils.testing import patch_module_args

if __name__ == "__main__":
    # The folder of this file would otherwise come first among the places to import from.
    sys.path.pop(0)
    with patch_module_args(json.load(sys.stdin)):
        runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
