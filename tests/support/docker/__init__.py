# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose projects: a Django application with Celery worker, beat, Redis and a database, as it is deployed."""

from __future__ import annotations

from .command import docker
from .images import Images, provide_images
from .project_files import NIGHT, make_files
from .projects import ComposeProject, up
from .recorder import DockerRecorder
from .role_host import RoleHost, without_root

__all__ = [
    "NIGHT",
    "ComposeProject",
    "DockerRecorder",
    "Images",
    "RoleHost",
    "docker",
    "make_files",
    "provide_images",
    "up",
    "without_root",
]
