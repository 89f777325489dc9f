# SPDX-License-Identifier: Apache-2.0
"""Laws of tensor encoding, alone and against the server's codec."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core.inference import InferenceResponse
from core.tensors import dtype_from_numpy
from furoshiki.inference import _result
from furoshiki.steps import Reply, Request
from furoshiki.tensors import DTYPES, datatype_of, decode_binary, decode_json, encode_binary, encode_json
from furoshiki.testing import FakeService
from services.edge.limits import EdgeLimits
from services.rest_v2 import codec

Array = npt.NDArray[Any]

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
NUMBERS = st.sampled_from(list(DTYPES.values())).flatmap(lambda dtype: hnp.arrays(dtype=dtype, shape=SHAPES))


@st.composite
def bytes_arrays(draw: st.DrawFn) -> Array:
    shape = draw(SHAPES)
    count = int(np.prod(shape))
    array = np.empty(count, dtype=object)
    array[:] = draw(st.lists(st.binary(max_size=9), min_size=count, max_size=count))
    return array.reshape(shape)


ARRAYS = st.one_of(NUMBERS, bytes_arrays())


def same(left: Array, right: Array) -> bool:
    """Equal shape, datatype and bits."""
    if left.dtype == np.object_:
        return left.shape == right.shape and left.tolist() == right.tolist()
    return (left.shape, left.dtype, left.tobytes()) == (right.shape, right.dtype, right.tobytes())


@given(ARRAYS)
def test_binary_round_trip(array: Array) -> None:
    """decode_binary(encode_binary(a), datatype_of(a), a.shape) == a, NaN and -0.0 bit for bit."""
    data = memoryview(encode_binary(array))
    assert same(decode_binary(data, datatype_of(array), array.shape), array)


@given(
    NUMBERS.filter(lambda array: array.dtype != np.float16 and (array.dtype.kind != "f" or np.isfinite(array).all()))
)
def test_json_round_trip(array: Array) -> None:
    """decode_json(json(encode_json(a)), datatype_of(a), a.shape) == a for everything JSON can carry."""
    text = json.dumps(encode_json(array, name="x"))
    assert same(decode_json(json.loads(text), datatype_of(array), array.shape), array)


@settings(max_examples=50)
@given(st.dictionaries(st.text(min_size=1, max_size=8), ARRAYS, min_size=1, max_size=3))
def test_server_reads_what_the_client_writes(inputs: dict[str, Array]) -> None:
    """The server's codec decodes a binary request of this client to the same arrays."""
    sent = request_of(inputs)
    length = sent.headers["Inference-Header-Content-Length"].encode()
    assert isinstance(sent.body, bytes)
    request, wanted = codec.decode(
        sent.body, length, limits=EdgeLimits(), tenant="t", model="m", version=None, request_id="r", now=0.0
    )
    assert wanted.binary_default
    assert request.inputs.keys() == inputs.keys()
    assert all(same(request.inputs[name], array) for name, array in inputs.items())


@settings(max_examples=50)
@given(st.dictionaries(st.text(min_size=1, max_size=8), ARRAYS, min_size=1, max_size=3))
def test_client_reads_what_the_server_writes(outputs: dict[str, Array]) -> None:
    """This client decodes a binary reply of the server's codec to the same arrays."""
    dtypes = {name: dtype_from_numpy(array.dtype) for name, array in outputs.items()}
    response = InferenceResponse(model="m", version="1", digest="sha256:00", outputs=outputs, dtypes=dtypes)
    body, length = codec.encode(response, codec.Wanted("", True, {}), EdgeLimits())
    reply = Reply(status=200, headers={"inference-header-content-length": str(length)}, body=body, request_id="r")
    result = _result(reply)
    assert all(same(result[name], array) for name, array in outputs.items())


def request_of(inputs: dict[str, Array]) -> Request:
    """The request that an inference with ``inputs`` would send."""
    from furoshiki import Client
    from furoshiki.inference import Inference

    client = Client(transport=FakeService())
    step = next(Inference.infer.steps(client, "m", inputs))
    assert isinstance(step, Request)
    return step
