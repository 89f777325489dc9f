# SPDX-License-Identifier: Apache-2.0
"""A real registry in its own process, on loopback, with its state in a temporary directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from furoshiki import Client

ROOT = Path(__file__).parents[3]
LISTENING = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


@dataclass(frozen=True, kw_only=True)
class Registry:
    """A running registry."""

    url: str
    home: Path
    admin_key: str


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry for all tests of this folder; every test uses model names of its own."""
    home = tmp_path_factory.mktemp("registry") / "home"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FUROSHIKI_")}
    settings = {"FUROSHIKI_HOME": str(home), "FUROSHIKI_HTTP__PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "registry_api", "serve"],
        cwd=ROOT,
        env=kept | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    log: list[str] = []
    try:
        url = None
        while url is None:
            line = process.stdout.readline()
            assert line, "the registry did not start:\n" + "".join(log)
            log.append(line)
            found = LISTENING.search(line)
            url = found[1] if found else None
        drain = threading.Thread(target=process.stdout.read, daemon=True)
        drain.start()
        yield Registry(url=url, home=home, admin_key=(home / "admin.key").read_text().strip())
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


@pytest.fixture
def client(registry: Registry) -> Iterator[Client]:
    with Client(registry.url, inference_url=registry.url, api_key=registry.admin_key) as made:
        yield made


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """A linear classifier in ONNX: X FP32[-1, 4] to Y FP32[-1, 3]."""
    weights = numpy_helper.from_array(np.ones((4, 3), dtype=np.float32), "W")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["X", "W"], ["Y"])],
        "linear",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, 3])],
        [weights],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = tmp_path / "model.onnx"
    onnx.save(made, path)
    return path
