# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``celery maintenance``, a command of Celery's own program.

That program imports it at its start where the folder `plugin` of the role beat_schedule is on Python's path, and with
it the tasks. So an application's workers know them, without a change of their code or command.
"""

from __future__ import annotations

import click

from .tasks import run_policy


@click.command("maintenance")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def maintenance(dry_run: bool) -> None:
    """Clean the tables of the policy that CELERY_MAINTENANCE_POLICY names."""
    from .engine.errors import CleanupError

    try:
        done = run_policy(check=dry_run)
    except CleanupError as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(done["report"]))
