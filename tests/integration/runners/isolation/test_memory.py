# SPDX-License-Identifier: Apache-2.0
"""A model with a process of its own gives all of its memory back: that of the process tree, for every backend.

Each round costs the start of a process and the import of a runtime, so there are few of them, unless
``FUROSHIKI_TEST_ROUNDS`` says how many; docs/adr/0025-isolation-per-model.md has what 25 gave.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from artifacts.source import MemorySource
from artifacts.testing import make_bundle
from core.tensors import ANY, DType, Signature, TensorSpec
from runners.batching.policy import BatchLimits
from runners.bundles import ModelLoader
from runners.interface import RunnerOptions
from runners.isolation.handle import IsolatedHandle
from runners.isolation.options import IsolationOptions
from runners.testing import request_of
from tests.integration.runners.backends.test_memory import (
    SIDE,
    Files,
    onnx_files,
    saved_model_files,
    script_files,
    tflite_files,
)

ROUNDS = int(os.environ.get("FUROSHIKI_TEST_ROUNDS", "0"))
LEFT = 3 * 2**20  # bytes that all rounds together may leave
SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, SIDE)),),
    outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, SIDE)),),
)


def resident() -> int:
    """Bytes of this process and all it started."""
    process = psutil.Process()
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))


@pytest.mark.parametrize(
    ("name", "make", "rounds"),
    [
        ("onnx", onnx_files, 4),
        ("tflite", tflite_files, 2),
        ("torchscript", script_files, 1),
        ("saved_model", saved_model_files, 1),
    ],
)
async def test_everything_comes_back(
    name: str, make: Callable[[np.ndarray, Path], Files], rounds: int, tmp_path: Path
) -> None:
    """Load, run, unload, again and again: the tree has the memory it had after the first time."""
    weights = np.random.default_rng(1).normal(size=(SIDE, SIDE)).astype(np.float32)
    made = make_bundle(
        dict(make(weights, tmp_path / "model")), signature=SIGNATURE, format=name, variant=f"{name}-fp32/cpu"
    )
    isolation = IsolationOptions(mode="process", log_level="WARNING")
    loader = ModelLoader(clock=made.clock, options=RunnerOptions(), limits=BatchLimits(), isolation=isolation)
    row = np.ones((1, SIDE), np.float32)
    after, took = [], 0
    for _ in range(1 + (ROUNDS or rounds)):
        loaded = await loader.load(MemorySource(made.files), subject=made.subject, policy=made.policy)
        handle = loaded.handle
        assert isinstance(handle, IsolatedHandle)
        result = await handle.infer(request_of({"x": row}))
        assert result["y"].shape == (1, SIDE)
        took = handle.memory
        await handle.close()
        del loaded, handle, result
        gc.collect()
        after.append(resident())
    left = after[-1] - after[0]
    print(f"{name}: {took:,} bytes while loaded, {left:,} left by {len(after) - 1} rounds; {after[0]:,} before them")
    assert left < LEFT
