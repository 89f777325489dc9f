# SPDX-License-Identifier: Apache-2.0
"""``python -m runners inspect FOLDER`` for every format that a runner loads, as the registry starts it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.local.stack import ROOT
from tests.integration.runners.backends.models import dense, linear_tflite, quantized, saved_model
from tests.integration.runners.backends.test_torch import Linear, Named, program, script

WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)
REFUSED = 3


def inspected(folder: Path, files: Mapping[str, bytes]) -> tuple[int, dict[str, Any]]:
    """Exit code and answer for a folder of these files."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    command = [sys.executable, "-P", "-m", "runners", "inspect", str(folder)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120, check=False)
    (line,) = done.stdout.splitlines()
    return done.returncode, json.loads(line)


@pytest.mark.parametrize("name", ["model.tflite", "saved_model", "model.pt", "model.pt2"])
def test_each_format_is_described(tmp_path: Path, name: str) -> None:
    """Its tensors and its precision, on one line."""
    files = {
        "model.tflite": lambda: {"model.tflite": linear_tflite(WEIGHTS)},
        "saved_model": lambda: saved_model(WEIGHTS, tmp_path / "made"),
        "model.pt": lambda: {"model.pt": script(Linear(WEIGHTS))},
        "model.pt2": lambda: {"model.pt2": program(Named(WEIGHTS))},
    }[name]()
    assert inspected(tmp_path / "model", files) == (
        0,
        {
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
            "precision": "fp32",
        },
    )


def test_the_precision_inside_is_told(tmp_path: Path) -> None:
    """A full integer model takes floats and is int8."""
    code, answer = inspected(tmp_path, {"model.tflite": quantized(dense(), "int8")})
    assert (code, answer["precision"], answer["inputs"][0]["datatype"]) == (0, "int8", "FP32")


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"model.keras": b"x"}, "converters inspect"),
        ({"readme.md": b"x"}, "no known format"),
        ({"model.pt": b"x", "weights.pkl": b"x"}, "pickle"),
        ({"model.pt2": b"x"}, "no torch archive"),
        ({"saved_model.pb": b"x"}, "no SavedModel"),
    ],
)
def test_what_no_runner_loads_is_refused(tmp_path: Path, files: Mapping[str, bytes], why: str) -> None:
    """Exit code 3 and MODEL_003 with what to do."""
    code, answer = inspected(tmp_path, files)
    assert (code, answer["error"]["code"]) == (REFUSED, "MODEL_003")
    assert why in answer["error"]["message"]
