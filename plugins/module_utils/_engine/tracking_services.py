# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the override file says of a deployment's services, so that their tasks are recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .docker import Container
from .maintenance_services import INSIDE, POLICY_NAME, Services, literal, mount, python_path

_PACKAGE, _STARTER, _SECRET = f"{INSIDE}/tracking.pyz", f"{INSIDE}/sitecustomize", f"{INSIDE}/tracking"


def tracked(containers: Sequence[Container], folder: str, settings: Mapping[str, str]) -> Services:
    """Return what makes the services of *containers* record their tasks.

    :param folder: where the package, the starter and the database's URL are on the host
    :param settings: the recorder's environment, beside where the database is
    """
    volumes = [
        mount(str(Path(folder, "tracking.pyz")), _PACKAGE),
        mount(str(Path(folder, "sitecustomize")), _STARTER),
        mount(str(Path(folder, "tracking")), _SECRET),
    ]
    return {
        container.service: _definition(container, volumes, settings)
        for container in sorted(containers, key=lambda one: one.service)
    }


def _definition(container: Container, volumes: list[dict[str, Any]], settings: Mapping[str, str]) -> dict[str, Any]:
    environment = {
        # The first has the recorder; the second has what imports it together with Celery.
        "PYTHONPATH": python_path(container, [_PACKAGE, _STARTER]),
        "CELERY_TRACKING_DATABASE_FILE": f"{_SECRET}/{POLICY_NAME}",
        **settings,
    }
    definition: dict[str, Any] = literal({"environment": environment, "volumes": volumes})
    return definition
