# SPDX-License-Identifier: Apache-2.0
"""Tensors survive the protocol in both forms, and no bytes make the codec fail in a way it does not name."""

from __future__ import annotations

from contextlib import suppress

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FuroshikiError, InvalidRequest, TensorError
from core.inference import InferenceResponse
from core.tensors import Array, DType
from services.edge import binary_tensors
from services.edge.context import Principal
from services.edge.limits import EdgeLimits
from services.grpc_v2 import codec, messages
from services.grpc_v2.codec import Origin, Wanted
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.shared_memory.regions import RegionLimits, Regions

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
NUMERIC = [dtype for dtype in DType if dtype not in (DType.BYTES, DType.BF16)]
REGIONS = Regions(RegionLimits())
ORIGIN = Origin(caller=Principal(tenant="acme", key_id="k"), request_id="r", now=0.0, deadline=None, traceparent=None)
LIMITS = EdgeLimits(tensor_elements=10_000, json_bytes=100_000, bytes_elements=100)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[Array, DType]:
    dtype = draw(st.sampled_from([*NUMERIC, DType.BYTES]))
    if dtype is not DType.BYTES:
        return draw(hnp.arrays(dtype.numpy, SHAPES)), dtype
    words = draw(st.lists(st.binary(max_size=20), max_size=8))
    array = np.empty(len(words), dtype=object)
    array[:] = words
    return array, dtype


def request(array: Array, dtype: DType, *, raw: bool) -> pb.ModelInferRequest:
    """A request with one tensor."""
    message = pb.ModelInferRequest(model_name="m")
    tensor = message.inputs.add(name="x", datatype=dtype.oip, shape=array.shape)
    if raw:
        message.raw_input_contents.append(binary_tensors.encode(array, dtype))
    else:
        assert dtype.grpc_field is not None
        tensor.contents.SetInParent()
        getattr(tensor.contents, dtype.grpc_field).extend(array.ravel().tolist())
    return message


def decoded(data: bytes, limits: EdgeLimits = LIMITS) -> Array:
    """The tensor, decoded anew and as a declaration that is remembered."""
    decoder = codec.Decoder(limits, REGIONS)
    first, second = (decoder.decode(messages.receive(data, limits), ORIGIN)[0].inputs["x"] for _ in range(2))
    assert same(first, second)
    return first


def same(left: Array, right: Array) -> bool:
    if left.dtype == object:
        return left.tolist() == right.tolist() and left.shape == right.shape
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()


@given(tensors(), st.booleans())
def test_raw_round_trip(pair: tuple[Array, DType], small: bool) -> None:
    """Every tensor survives in raw form bit for bit, whether the message is cut or parsed whole."""
    array, dtype = pair
    limits = LIMITS if small else EdgeLimits(tensor_elements=10_000, json_bytes=60, bytes_elements=100)
    message = request(array, dtype, raw=True)
    assert same(decoded(message.SerializeToString(), limits), array)


@given(tensors())
def test_typed_round_trip(pair: tuple[Array, DType]) -> None:
    """Every tensor that typed contents can carry survives in them; FP16 is refused."""
    array, dtype = pair
    if dtype.grpc_field is None:
        message = pb.ModelInferRequest(
            inputs=[{"name": "x", "datatype": dtype.oip, "shape": array.shape, "contents": {}}]
        )
        with pytest.raises(TensorError):
            decoded(message.SerializeToString())
        return
    back = decoded(request(array, dtype, raw=False).SerializeToString())
    if array.dtype.kind == "f":
        np.testing.assert_array_equal(back, array)  # which bits a NaN has may change
        assert back.dtype == array.dtype
    else:
        assert same(back, array)


@given(tensors())
def test_answers(pair: tuple[Array, DType]) -> None:
    """An encoded result is a message that holds the tensor bit for bit, the id and the digest."""
    array, dtype = pair
    response = InferenceResponse(model="m", version="1", digest="sha256:00", outputs={"y": array}, dtypes={"y": dtype})
    message = pb.ModelInferResponse.FromString(codec.encode(response, Wanted(id="7")))
    assert (message.model_name, message.model_version, message.id) == ("m", "1", "7")
    assert message.parameters[codec.DIGEST_KEY].string_param == "sha256:00"
    [output] = message.outputs
    assert (output.name, output.datatype, tuple(output.shape)) == ("y", dtype.oip, array.shape)
    assert list(message.raw_output_contents) == [binary_tensors.encode(array, dtype)]


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Bytes that are no request are refused by name."""
    for limits in (LIMITS, EdgeLimits(json_bytes=10)):
        with suppress(FuroshikiError, KeyError):
            decoded(data, limits)


@given(st.data())
def test_any_change(draws: st.DataObject) -> None:
    """A legal request with some bytes changed is decoded or refused by name, in both ways of parsing."""
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    data = bytearray(request(array, DType.INT16, raw=draws.draw(st.booleans())).SerializeToString())
    for _ in range(draws.draw(st.integers(1, 4))):
        data[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
    for limits in (LIMITS, EdgeLimits(json_bytes=10, tensor_elements=10_000)):
        with suppress(FuroshikiError, KeyError):
            decoded(bytes(data), limits)


@given(st.integers(0, 70_000))
def test_both_ways_agree(size: int) -> None:
    """A request just below and just above the size that is cut decodes to the same tensor."""
    array = np.arange(size, dtype=np.uint8)
    assert same(decoded(request(array, DType.UINT8, raw=True).SerializeToString(), EdgeLimits()), array)


def test_what_stands_beside_raw_tensors_is_bounded() -> None:
    """Typed contents beyond the limit of a JSON part are refused with the advice to send them raw."""
    message = request(np.zeros(5000, dtype=np.float64), DType.FP64, raw=False)
    with pytest.raises(InvalidRequest, match="raw_input_contents"):
        decoded(message.SerializeToString(), EdgeLimits(json_bytes=1000))
