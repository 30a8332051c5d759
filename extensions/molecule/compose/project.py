# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Compose project as the tests have it: `project.py FOLDER up|restart-beat|down`.

The folder's name ends with the kind of its database. Its application sets `result_expires`, so beat makes
`celery.backend_cleanup` at each start.
"""

from __future__ import annotations

import secrets
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))

from support.docker import ComposeProject, make_files, provide_images
from support.tables import fill
from support.tables.rows import TASK_RESULT, task_results


def _up(project: ComposeProject) -> None:
    make_files(
        project.folder, provide_images(), project.password, database=project.kind, result_expires=86400,
        published_port=project.kind == "postgresql",
    )  # fmt: skip
    project.start()
    rows = [task_results(300, days=20), task_results(40, days=1), task_results(5, "REVOKED", days=1)]
    fill(project.database(), TASK_RESULT, [*rows, task_results(3, "STARTED", days=3)])


def _down(project: ComposeProject) -> None:
    project.remove()
    shutil.rmtree(project.folder)


def main() -> None:
    folder, action = Path(sys.argv[1]), sys.argv[2]
    kind = "mariadb" if folder.name.endswith("mariadb") else "postgresql"
    project = ComposeProject(folder, f"molecule_{folder.name}", kind, secrets.token_hex(8))
    {"up": _up, "restart-beat": ComposeProject.restart_beat, "down": _down}[action](project)


if __name__ == "__main__":
    main()
