# SPDX-License-Identifier: Apache-2.0
"""The main job on what surrounds the registry in production, started by the demo itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_main_job_on_the_real_components() -> None:
    """On PostgreSQL, Ceph, Redis, OpenBao and OpenID: answers equal, tampering refused, blobs encrypted, keys in OpenBao."""
    command = [sys.executable, "-m", "deploy.local.demo", "--platform"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    print(ran.stdout)
    assert "SIGN_004" in ran.stdout
    assert re.search(r"PostgreSQL: 2 versions, \d+ entries", ran.stdout)
    blobs = re.search(r"Ceph: +(\d+) encrypted blobs, 0 plain objects", ran.stdout)
    assert blobs is not None
    assert int(blobs[1]) >= 6
    assert "furoshiki-kek-default, furoshiki-sign-default" in ran.stdout
    assert re.search(r"Redis: +[1-9]\d* changes told", ran.stdout)
