# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attributes that the modules share. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/fleetops.celery.all) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - fleetops.celery.all
  check_mode:
    description: Can run in check mode and predict what would change without changing anything.
    support: full
    details:
      - The plan is read from the database; nothing is written, not even inside a transaction that is rolled back.
  diff_mode:
    description: Returns details on what has changed, or what would change in check mode.
    support: full
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
  platform:
    description: Target systems and databases.
    platforms: posix
    support: full
"""

    INFO = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/fleetops.celery.all) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - fleetops.celery.all
  check_mode:
    description: Can run in check mode and predict what would change without changing anything.
    support: full
    details:
      - This module only reads.
  diff_mode:
    description: Returns details on what has changed, or what would change in check mode.
    support: N/A
    details:
      - This module only reads.
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
    details:
      - This module only reads.
  platform:
    description: Target systems and databases.
    platforms: posix
    support: full
"""

    HOST = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and predict what would change without changing anything.
    support: full
  diff_mode:
    description: Returns details on what has changed, or what would change in check mode.
    support: full
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
  platform:
    description: Target systems.
    platforms: posix
    support: full
"""
