# SPDX-License-Identifier: Apache-2.0
"""What a bundle's manifest declares reaches the model's batcher; what does not fit its tensors is refused at load."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from onnx import TensorProto, helper

from artifacts.source import MemorySource
from artifacts.testing import Bundle, make_bundle, refused
from core.errors import ErrorCode
from core.tensors import DType, Signature, TensorSpec
from runners.batching.policy import BatchLimits
from runners.bundles import ModelLoader, loader_of
from runners.cache import LoadedModel
from runners.interface import RunnerOptions
from runners.isolation.options import IsolationOptions
from runners.remote.limits import WireLimits
from runners.settings import Runner, ServingSettings
from runners.testing import request_of


def doubling_by_four() -> bytes:
    """``y = x + x`` on exactly four rows, as an ONNX file."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def bundle(**metadata: str) -> Bundle:
    x, y = (TensorSpec(name=name, dtype=DType.FP32, shape=(4, 2)) for name in "xy")
    declared = {f"batching.{key}": value for key, value in metadata.items()}
    signature = Signature(inputs=(x,), outputs=(y,))
    return make_bundle({"model.onnx": doubling_by_four()}, signature=signature, metadata=declared)


async def load(made: Bundle) -> LoadedModel:
    loader = ModelLoader(clock=made.clock, options=RunnerOptions(), limits=BatchLimits())
    return await loader.load(MemorySource(made.files), subject=made.subject, policy=made.policy)


async def test_a_declared_fixed_batch_is_filled() -> None:
    """Single rows share the four that the model takes; the tensors callers see have a free first dimension."""
    handle = (await load(bundle(fixed="true"))).handle
    assert handle.signature.batched
    requests = [request_of({"x": np.full((1, 2), n, dtype=np.float32)}) for n in range(6)]
    results = await asyncio.gather(*(handle.infer(request) for request in requests))
    assert [result["y"].tolist() for result in results] == [[[2 * n, 2 * n]] for n in range(6)]
    await handle.close()


async def test_nothing_declared_means_no_batch() -> None:
    """The same model without the declaration is run as it is."""
    handle = (await load(bundle())).handle
    assert not handle.signature.batched
    await handle.close()


async def test_a_declaration_that_does_not_fit_is_refused() -> None:
    """MODEL_003 at load, not a failure at the first request."""
    with refused(ErrorCode.MODEL_INVALID, "batching.ragged"):
        await load(bundle(ragged='{"x": 1}', ragged_mask="x"))


@pytest.mark.parametrize(("source", "shared"), [("bundle", False), ("registry", True)])
@pytest.mark.parametrize("instances", [0, 3])
def test_instances_and_cores(monkeypatch: pytest.MonkeyPatch, source: str, shared: bool, instances: int) -> None:
    """As many instances as cores allow unless told otherwise; tenants share the cores where several have models."""
    monkeypatch.setattr("runners.bundles.usable_cores", lambda: 8)
    settings = ServingSettings.read().model_copy(
        update={"source": source, "runner": Runner(threads=2, instances=instances)}
    )
    loader = loader_of(settings, limits=BatchLimits())
    assert (loader.options.threads, loader.options.instances) == (2, instances or 4)
    assert (loader.cores is not None) is shared


def test_isolation_is_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader isolates as the settings say, with the bounds, the connection and the log of this process."""
    for name, value in {"MODE": "process", "START_S": "7", "HANG_S": "9", "MEMORY_BYTES": "4096"}.items():
        monkeypatch.setenv(f"FUROSHIKI_ISOLATION__{name}", value)
    monkeypatch.setenv("FUROSHIKI_SPLIT__SILENCE_S", "3")
    monkeypatch.setenv("FUROSHIKI_LOG__LEVEL", "ERROR")
    isolation = loader_of(ServingSettings.read(), limits=BatchLimits()).isolation
    assert isolation == IsolationOptions(
        mode="process", start_s=7, hang_s=9, memory_bytes=4096, wire=WireLimits(silence_s=3), log_level="ERROR"
    )


def test_a_split_runner_isolates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the process of its one model already."""
    monkeypatch.setenv("FUROSHIKI_SOURCE", "bundle")
    monkeypatch.setenv("FUROSHIKI_TOPOLOGY", "split")
    monkeypatch.setenv("FUROSHIKI_ISOLATION__MODE", "process")
    assert loader_of(ServingSettings.read(), limits=BatchLimits()).isolation is None
