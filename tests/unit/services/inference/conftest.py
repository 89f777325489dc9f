# SPDX-License-Identifier: Apache-2.0
"""A signed bundle on disk, and logging as it was before."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from onnx import TensorProto, helper

from artifacts.signing.policy import TrustPolicy
from artifacts.testing import Bundle, make_bundle
from core.tensors import ANY, DType, Signature, TensorSpec


@dataclass(kw_only=True)
class Served:
    """A bundle as a Bento holds it, with the environment that serves it."""

    bundle: Bundle
    folder: Path
    trust_dir: Path

    def trust(self, policy: TrustPolicy) -> None:
        """Writes the tenant's policy."""
        (self.trust_dir / "acme.json").write_bytes(policy.to_bytes())

    @property
    def environment(self) -> dict[str, str]:
        return {
            "FUROSHIKI_SOURCE": "bundle",
            "FUROSHIKI_BUNDLE__PATH": str(self.folder),
            "FUROSHIKI_TRUST__DIR": str(self.trust_dir),
            "FUROSHIKI_AUTH__MODE": "open",
            "FUROSHIKI_LOG__STYLE": "json",
        }


def doubling() -> bytes:
    """``y = x + x`` as an ONNX file."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture
def served(tmp_path: Path) -> Served:
    x, y = (TensorSpec(name=name, dtype=DType.FP32, shape=(ANY, 2)) for name in "xy")
    files = {"model.onnx": doubling(), "assets/labels.txt": b"one\ntwo\n"}
    bundle = make_bundle(files, signature=Signature(inputs=(x,), outputs=(y,)))
    folder, trust_dir = tmp_path / "model", tmp_path / "trust"
    trust_dir.mkdir()
    made = Served(bundle=bundle, folder=bundle.write(folder), trust_dir=trust_dir)
    made.trust(bundle.policy)
    return made


@pytest.fixture
def environment(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The environment that serves the bundle, and no other setting."""
    for name in [name for name in os.environ if name.startswith("FUROSHIKI_")]:
        monkeypatch.delenv(name)
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = structlog.get_config()
    yield served
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)
