# SPDX-License-Identifier: Apache-2.0
"""onnxruntime tells its vendor nothing about the models it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[5]


def test_nothing_is_gathered_whatever_the_environment_says(tmp_path: Path) -> None:
    """onnxruntime keeps what it gathers in the user's cache; with the backend imported first nothing appears there."""
    environment = {
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
        "ORT_DISABLE_TELEMETRY": "0",
    }
    program = "import runners.backends.onnx.backend as loaded; print(loaded.ort.__version__)"
    ended = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.strip()
    assert list(tmp_path.rglob("*")) == []
