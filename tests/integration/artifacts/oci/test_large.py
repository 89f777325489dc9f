# SPDX-License-Identifier: Apache-2.0
"""Memory does not grow with a blob."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deploy.local.components.docker_registry import DockerRegistry
from tests.unit.artifacts.oci.images import MIB


def test_200_mib_are_copied_in_constant_memory(registry: DockerRegistry, tmp_path: Path) -> None:
    """Written, pushed and pulled again in a process that grows by a fraction of them."""
    command = [sys.executable, "-m", "tests.integration.artifacts.oci.large", registry.host, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout)
    print(f"200 MiB pushed and pulled: the process grew by {grown / MIB:.1f} MiB")
    assert grown < 48 * MIB
