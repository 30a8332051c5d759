# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the tests: made from Debian's packages once, and again when what they are made of changes.

As root on Debian no registry is needed. Elsewhere, and where IMAGES=official says so, the official images serve.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..missing import MissingPart
from ..running.collection import BUILD
from .command import docker

FILES = Path(__file__).with_name("dockerfiles")
REPOSITORY = "fleetops-celery-tests"
OFFICIAL = {
    "postgres": "postgres:15",
    "mariadb": "mariadb:10.11",
    "redis": "redis:7",
    # The application's image is built in either case: on this one.
    "base": "python:3.11-slim",
}
# All in one image, and thin ones upon it: installing is what takes the time.
PACKAGES = ("mariadb-client-core", "mariadb-server-core", "postgresql-15", "python3-venv", "redis-server")
RELEASE = "bookworm"


@dataclass(frozen=True)
class Images:
    """Their names, as `image:` in a Compose file takes them."""

    postgresql: str
    mariadb: str
    redis: str
    application: str


def provide_images() -> Images:
    """Build what is missing. Takes one or two minutes the first time, and no time later."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "docker-images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.environ.get("IMAGES") == "official" or os.geteuid() != 0 or not shutil.which("debootstrap"):
            return Images(
                postgresql=_pulled("postgres"),
                mariadb=_pulled("mariadb"),
                redis=_pulled("redis"),
                application=_built("application", _pulled("base")),
            )
        base = _base()
        return Images(
            postgresql=_built("postgres", base),
            mariadb=_built("mariadb", base),
            redis=_built("redis", base),
            application=_built("application", base),
        )


def _pulled(name: str) -> str:
    image = OFFICIAL[name]
    if not _exists(image):
        try:
            docker("pull", "--quiet", image)
        except RuntimeError as error:
            raise MissingPart(f"{error} (as root on Debian, with debootstrap, no registry is needed)") from None
    return image


def _base() -> str:
    """Debian with the packages of every image, by debootstrap."""
    image = f"{REPOSITORY}/base:{_mark(RELEASE, *PACKAGES)}"
    if _exists(image):
        return image
    with tempfile.TemporaryDirectory(prefix="fleet-base-") as folder:
        root = Path(folder, "root")
        include = f"--include={','.join(PACKAGES)}"
        # What debootstrap mounts goes when it ends, however it ends.
        _run(["unshare", "--mount", "debootstrap", "--variant=minbase", include, RELEASE, str(root)])
        # The database that installing made, and what is of no more use.
        for pattern in ("var/lib/postgresql/*", "var/cache/apt/archives/*.deb", "var/lib/apt/lists/*"):
            for path in root.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as archive:
            docker("import", "-", image, stdin=archive.stdout)
        if archive.returncode:
            docker("image", "rm", image)
            raise RuntimeError(f"tar ended with {archive.returncode}")
    return image


def _built(name: str, base: str) -> str:
    files = FILES / name
    contents = [file.read_bytes().decode() for file in sorted(files.iterdir())]
    image = f"{REPOSITORY}/{name}:{_mark(base, *contents)}"
    if _exists(image):
        return image
    with tempfile.TemporaryDirectory(prefix="fleet-image-") as folder:
        context = Path(folder, name)
        shutil.copytree(files, context)
        if (context / "requirements.txt").exists():
            _download_wheels(context / "requirements.txt", context / "wheels")
        docker("build", "--quiet", "--network=none", f"--build-arg=BASE={base}", f"--tag={image}", str(context))
    return image


def _download_wheels(requirements: Path, target: Path) -> None:
    """For Python 3.11, whatever Python this is."""
    machine = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    platforms = [f"--platform={tag}_{machine}" for tag in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")]
    _run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version=3.11",
         "--implementation=cp", *platforms, f"--requirement={requirements}", f"--dest={target}"]
    )  # fmt: skip


def _mark(*contents: str) -> str:
    return hashlib.sha256("\0".join(contents).encode()).hexdigest()[:12]


def _exists(image: str) -> bool:
    return bool(docker("image", "ls", "--quiet", image).strip())


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout[-2000:]}")
