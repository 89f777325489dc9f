# SPDX-License-Identifier: Apache-2.0
"""A loaded model that is a Python function, and reports to choose from; for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import numpy as np

from converters.parity import metrics
from converters.parity.interface import Range, sizes_of
from converters.parity.report import Inputs, Latency, Metric, Report, Thresholds
from core.tensors import ANY, Array, DType, Shape, Signature, TensorSpec


def tensor(name: str, *shape: int, dtype: DType = DType.FP32) -> TensorSpec:
    """A specification; the batch dimension, of any size, comes in front of ``shape``."""
    return TensorSpec(name=name, dtype=dtype, shape=(ANY, *shape))


class FunctionModel:
    """Runs a function of arrays in the order of the signature's inputs.

    Args:
        signature: What it takes and gives.
        function: Gives one array, or one per output in order.
        sizes: Batch sizes it takes; by default what the signature says.
        ranges: Of quantized inputs and outputs.
    """

    runtime = ("python", "3")

    def __init__(
        self,
        signature: Signature,
        function: Callable[..., Array | tuple[Array, ...]],
        *,
        sizes: tuple[int, ...] | None = None,
        ranges: Mapping[str, Range] | None = None,
    ) -> None:
        self.signature = signature
        self.sizes = sizes if sizes is not None else sizes_of(signature)
        self.ranges = dict(ranges or {})
        self.seen: list[Shape] = []  # shape of the first input of every run
        self._function: Callable[..., Array | tuple[Array, ...]] | None = function

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Calls the function."""
        if self._function is None:
            raise RuntimeError("closed")
        given = [inputs[spec.name] for spec in self.signature.inputs]
        self.seen.append(given[0].shape)
        result = self._function(*given)
        results = result if isinstance(result, tuple) else (result,)
        return {spec.name: array for spec, array in zip(self.signature.outputs, results, strict=True)}

    def close(self) -> None:
        """Forgets the function."""
        self._function = None


def a_report(
    variant: str = "tflite-int8/cpu",
    *,
    size: int = 250,
    ms: float = 1.0,
    cosine: float = 0.99,
    reasons: tuple[str, ...] = (),
    accuracy: float | None = None,
) -> Report:
    """A report with these numbers; rejected if there are reasons."""
    return Report(
        variant=variant,
        source="onnx-fp32/cpu",
        precision=variant.partition("/")[0].rpartition("-")[2],
        inputs=Inputs(n=32, calibration=0, random=32, batches=(1, 8), kinds={"x": "normal"}, seed=1),
        max_abs=0.1,
        mean_abs=0.01,
        cosine=cosine,
        top1_agreement=None,
        metric=None if accuracy is None else Metric(name="accuracy", source=1.0, value=accuracy, rows=10),
        clipped=None,
        non_finite=0,
        outputs=(),
        source_bytes=1000,
        bytes=size,
        latency=(Latency(rows=1, source_ms=2.0, ms=ms), Latency(rows=8, source_ms=8.0, ms=ms * 4)),
        thresholds=Thresholds(),
        verdict="rejected" if reasons else "accepted",
        reasons=reasons,
        histogram=metrics.histogram(np.array([0.0, 1e-3, 1e-3, 0.1])),
        versions={"cpu": "Test CPU"},
    )


def encoded(report: Report) -> bytes:
    """Its JSON."""
    return msgspec.json.encode(report)
