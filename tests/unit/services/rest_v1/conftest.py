# SPDX-License-Identifier: Apache-2.0
"""Signatures, requests in each form, and answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from core.inference import InferenceRequest, InferenceResponse
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from services.edge.limits import EdgeLimits
from services.rest_v1.interface import Answer, Codec, to_request

LIMITS = EdgeLimits(json_bytes=4096, tensors=4, bytes_elements=8, tensor_elements=1000, rank=4)


def signature(dtype: DType = DType.FP32, shape: Sequence[int] = (ANY, 2)) -> Signature:
    """One input ``x`` and one output ``y``."""
    x, y = (TensorSpec(name=name, dtype=dtype, shape=tuple(shape)) for name in "xy")
    return Signature(inputs=(x,), outputs=(y,))


def read(
    codec: Codec, body: bytes, wanted: Signature | None = None, *, limits: EdgeLimits = LIMITS
) -> InferenceRequest:
    """What the data plane gets of a body."""
    message = codec.parse(body, limits)
    return to_request(
        message, wanted or signature(), limits=limits, tenant="acme", request_id="r", deadline=message.deadline(100.0)
    )


def answer(array: Array, dtype: DType, *, raw: bool = False) -> Answer:
    """A result with one output ``y``."""
    response = InferenceResponse(
        model="fake", version="3", digest="sha256:ab", outputs={"y": array}, dtypes={"y": dtype}
    )
    return Answer(response=response, request_id="r", latency_ms=1.5, raw=raw)


def samples() -> list[tuple[DType, Array]]:
    """For each datatype its extremes, and what is special about it, in two dimensions."""
    found: list[tuple[DType, Array]] = []
    for dtype in DType:
        kind = dtype.numpy.kind
        if kind in "iu":
            info = np.iinfo(dtype.numpy)
            values: list[object] = [[info.min, info.max], [0, 1]]
        elif dtype is DType.BOOL:
            values = [[True, False], [False, True]]
        elif dtype is DType.BYTES:
            values = [[b"", b"\xff\x00"], ["é".encode(), b"a"]]
        else:
            values = [[float("inf"), -1.5], [0.0, 2.0]]
        found.append((dtype, np.array(values, dtype=dtype.numpy)))
    return found


EVERY_DATATYPE = pytest.mark.parametrize(("dtype", "array"), samples(), ids=[dtype.oip for dtype, _ in samples()])


def same(one: Array, other: Array) -> bool:
    """Bit for bit."""
    if one.dtype == np.object_:
        return one.shape == other.shape and one.tolist() == other.tolist()
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
