# SPDX-License-Identifier: Apache-2.0
"""Serves ``y = x @ w``, where ``w`` is a JSON list of rows in the bundle's ``weights.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from core.errors import ErrorCode, ModelError, OperatorError, TensorError, Unavailable
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from runners.interface import RunnerOptions, StopSignal

WEIGHTS = "weights.json"


class LinearBackend:
    """Loads ``linear`` bundles."""

    name = "linear-cpu"
    version = "1.0.0"
    formats = frozenset({"linear"})

    def load(self, files: Mapping[str, bytes], *, options: RunnerOptions) -> LinearRunner:  # noqa: ARG002 -- the port's
        """Reads the weights.

        Raises:
            ModelError: ``MODEL_003`` if there are none, or they are no matrix of numbers.
        """
        try:
            weights = np.array(json.loads(files[WEIGHTS]), dtype=np.float32)
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(ErrorCode.MODEL_INVALID, f"{WEIGHTS!r} is no matrix of numbers: {error}") from None
        if weights.ndim != 2:
            raise ModelError(ErrorCode.MODEL_INVALID, f"{WEIGHTS!r} has {weights.ndim} dimensions; expected 2.")
        return LinearRunner(weights)


class LinearRunner:
    """One matrix."""

    name = "linear-cpu"

    def __init__(self, weights: Array) -> None:
        self._weights: Array | None = weights
        rows, columns = weights.shape
        self.signature = Signature(
            inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, rows)),),
            outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, columns)),),
        )

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        weights = self._weights
        if weights is None:
            raise Unavailable(ErrorCode.MODEL_NOT_READY, "The model was unloaded.")
        if stop is not None and stop.stopped:
            raise OperatorError(ErrorCode.INFERENCE_FAILED, "The execution was stopped.")
        try:
            return {"y": inputs["x"] @ weights}
        except ValueError as error:
            raise TensorError(ErrorCode.TENSOR_REJECTED, f"The model cannot process this input: {error}") from None

    def close(self) -> None:
        self._weights = None
