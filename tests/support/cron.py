# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real cron daemon that sees the cron entries of a folder, and nobody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .missing import MissingPart

# In a mount namespace of its own: the system's entries, spool and lock file are out of sight, Docker's socket is not.
_PROGRAM = """
set -e
mount --make-rprivate /
mount --bind "$1" /etc/cron.d
mount -t tmpfs none /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
if [ -S /run/docker.sock ]; then
    touch /var/spool/cron/docker.sock
    mount --bind /run/docker.sock /var/spool/cron/docker.sock
fi
mount -t tmpfs none /run
if [ -e /var/spool/cron/docker.sock ]; then
    touch /run/docker.sock
    mount --bind /var/spool/cron/docker.sock /run/docker.sock
fi
mount --bind /dev/null /etc/crontab
exec cron -f -L 15
"""


@contextmanager
def cron(folder: Path) -> Iterator[None]:
    """Run the entries in *folder*, as if it were /etc/cron.d."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    if os.geteuid() != 0 or not shutil.which("cron", path=path):
        raise MissingPart("cron, as root: tests/tools/install_parts installs it")
    Path("/etc/crontab").touch()
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", _PROGRAM, "cron", str(folder)],
        env={"PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield
        assert process.poll() is None, process.communicate()[0]
    finally:
        process.terminate()
        process.communicate()
