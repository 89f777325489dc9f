# SPDX-License-Identifier: Apache-2.0
"""Requests that are right for a model ``iris`` with an FP32 input ``x`` of shape [-1, 4] and an output ``y`` like it.

The tests send each of them to a service that has such a model.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from services.rest_v1.furoshiki_v1_pb2 import InferRequest, Tensor

MODEL: Final = "iris"
VERSION: Final = "1"
ROWS: Final = ((5.1, 3.5, 1.4, 0.2), (6.2, 2.9, 4.3, 1.3))

_FLAT: Final = [value for row in ROWS for value in row]
_BYTES: Final = np.array(ROWS, dtype="<f4").tobytes()

PROTOCOL: Final[dict[str, Any]] = {
    "id": "42",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 4], "data": _FLAT}],
    "outputs": [{"name": "y"}],
    "parameters": {"priority": 1, "timeout": 5_000_000},
}
SHORT: Final[dict[str, Any]] = {
    "model": MODEL,
    "inputs": {"x": [list(row) for row in ROWS]},
    "outputs": ["y"],
    "timeout_ms": 5000,
    "priority": 1,
}


def packed() -> dict[str, Any]:
    """The short form with the tensor in binary form, before MessagePack."""
    return {**SHORT, "inputs": {"x": {"shape": [2, 4], "datatype": "FP32", "data": _BYTES}}}


def protobuf() -> bytes:
    """The short form in Protobuf."""
    tensor = Tensor(datatype="FP32", shape=[2, 4], raw=_BYTES)
    return InferRequest(
        model=MODEL, inputs={"x": tensor}, outputs=["y"], timeout_ms=5000, priority=1
    ).SerializeToString()
