# SPDX-License-Identifier: Apache-2.0
"""What is refused of a request, and by which name; what is taken without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.errors import ErrorCode, FuroshikiError
from core.inference import InferenceRequest
from services.edge.context import Principal
from services.edge.limits import EdgeLimits
from services.grpc_v2 import codec, messages
from services.grpc_v2.codec import Origin
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.shared_memory.regions import RegionLimits, Regions

REGIONS = Regions(RegionLimits(enabled=True))
ORIGIN = Origin(caller=Principal(tenant="acme", key_id="k"), request_id="r", now=100.0, deadline=None, traceparent=None)
FOUR = np.arange(4, dtype=np.float32).tobytes()


def tensor(**given: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [2, 2], **given}


def decode(message: pb.ModelInferRequest, limits: EdgeLimits | None = None) -> InferenceRequest:
    bounds = limits or EdgeLimits()
    received = messages.receive(message.SerializeToString(), bounds)
    return codec.Decoder(bounds, REGIONS).decode(received, ORIGIN)[0]


def parameter(**given: Any) -> dict[str, pb.InferParameter]:
    """Parameters by name, each of the protocol's type for the Python value."""
    kinds = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}
    return {name: pb.InferParameter(**{kinds[type(value)]: value}) for name, value in given.items()}


FILLED = {"fp32_contents": [0, 1, 2, 3]}
E = ErrorCode
REFUSED: dict[str, tuple[dict[str, Any], ErrorCode]] = {
    "both forms": ({"inputs": [tensor(contents=FILLED)], "raw_input_contents": [FOUR]}, E.TENSOR_DATA),
    "both forms, of two tensors": (
        {"inputs": [tensor(contents=FILLED), tensor(name="z")], "raw_input_contents": [FOUR]},
        E.TENSOR_DATA,
    ),
    "neither form": ({"inputs": [tensor()]}, E.TENSOR_DATA),
    "too few raw contents": ({"inputs": [tensor(), tensor(name="z")], "raw_input_contents": [FOUR]}, E.LENGTH_MISMATCH),
    "too many raw contents": ({"inputs": [tensor()], "raw_input_contents": [FOUR, FOUR]}, E.LENGTH_MISMATCH),
    "raw contents without inputs": ({"raw_input_contents": [FOUR]}, E.LENGTH_MISMATCH),
    "raw contents too short": ({"inputs": [tensor()], "raw_input_contents": [FOUR[1:]]}, E.TENSOR_DATA),
    "raw contents too long": ({"inputs": [tensor()], "raw_input_contents": [FOUR + b"x"]}, E.TENSOR_DATA),
    "a BYTES length that lies": (
        {"inputs": [tensor(datatype="BYTES", shape=[1])], "raw_input_contents": [b"\xff\xff\xff\x7fab"]},
        E.TENSOR_DATA,
    ),
    "a BOOL that is two": (
        {"inputs": [tensor(datatype="BOOL", shape=[2])], "raw_input_contents": [b"\x01\x02"]},
        E.TENSOR_DATA,
    ),
    "another field": ({"inputs": [tensor(contents={"fp64_contents": [0, 1, 2, 3]})]}, E.TENSOR_DATA),
    "two fields": ({"inputs": [tensor(contents={**FILLED, "int_contents": [1]})]}, E.TENSOR_DATA),
    "too few elements": ({"inputs": [tensor(contents={"fp32_contents": [1]})]}, E.TENSOR_SHAPE),
    "FP16 in typed contents": ({"inputs": [tensor(datatype="FP16", contents=FILLED)]}, E.TENSOR_DTYPE),
    "a byte of 256": (
        {"inputs": [tensor(datatype="UINT8", shape=[1], contents={"uint_contents": [256]})]},
        E.TENSOR_DATA,
    ),
    "a small int below its range": (
        {"inputs": [tensor(datatype="INT8", shape=[1], contents={"int_contents": [-129]})]},
        E.TENSOR_DATA,
    ),
    "a rank beyond the limit": ({"inputs": [tensor(shape=[1] * 17)], "raw_input_contents": [FOUR]}, E.TENSOR_SHAPE),
    "an output twice": ({"outputs": [{"name": "y"}, {"name": "y"}]}, E.TENSOR_UNEXPECTED),
    "too many outputs": ({"outputs": [{"name": f"y{n}"} for n in range(65)]}, E.TOO_LARGE),
    "too many raw contents for any model": ({"raw_input_contents": [b""] * 65}, E.TOO_LARGE),
    "classification": ({"outputs": [{"name": "y", "parameters": parameter(classification=3)}]}, E.INVALID_FIELD),
    "a sequence": ({"parameters": parameter(sequence_id=7)}, E.INVALID_FIELD),
    "a timeout that is text": ({"parameters": parameter(timeout="soon")}, E.INVALID_FIELD),
    "a priority that is a truth": ({"parameters": parameter(priority=True)}, E.INVALID_FIELD),
    "a region without a size": (
        {"inputs": [tensor(parameters=parameter(shared_memory_region="r"))]},
        E.INVALID_FIELD,
    ),
    "a region nobody registered": (
        {"inputs": [tensor(parameters=parameter(shared_memory_region="r", shared_memory_byte_size=16))]},
        E.INVALID_FIELD,
    ),
    "a region for an output nobody registered": (
        {"outputs": [{"name": "y", "parameters": parameter(shared_memory_region="r", shared_memory_byte_size=16)}]},
        E.INVALID_FIELD,
    ),
    "a region and contents": (
        {
            "inputs": [
                tensor(contents=FILLED, parameters=parameter(shared_memory_region="r", shared_memory_byte_size=16))
            ]
        },
        E.TENSOR_DATA,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    """Each contradiction has its stable code, and the words name what was found."""
    fields, code = REFUSED[case]
    with pytest.raises(FuroshikiError) as caught:
        decode(pb.ModelInferRequest(model_name="m", **fields))
    assert caught.value.code is code, caught.value


def test_an_empty_tensor_needs_no_contents() -> None:
    """A tensor without elements has nothing to send."""
    assert decode(pb.ModelInferRequest(inputs=[tensor(shape=[0, 2])])).inputs["x"].shape == (0, 2)


def test_strings_are_counted_over_all_tensors() -> None:
    """The limit of BYTES elements holds for a request, not for each of its tensors."""
    strings = {"datatype": "BYTES", "shape": [3], "contents": {"bytes_contents": [b"a"] * 3}}
    message = pb.ModelInferRequest(inputs=[tensor(name="a", **strings), tensor(name="b", **strings)])
    assert decode(message, EdgeLimits(bytes_elements=6)).inputs["b"].tolist() == [b"a"] * 3
    with pytest.raises(FuroshikiError) as caught:
        decode(message, EdgeLimits(bytes_elements=5))
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_a_large_tensor_is_not_copied_by_the_parser() -> None:
    """Raw tensors of a large message are views of it where they are aligned."""
    rows = np.arange(100_000, dtype=np.uint8)
    message = pb.ModelInferRequest(
        inputs=[tensor(datatype="UINT8", shape=[100_000])], raw_input_contents=[rows.tobytes()]
    )
    data = message.SerializeToString()
    received = messages.receive(data, EdgeLimits())
    assert not received.message.raw_input_contents
    assert received.raw[0].body is data
    array = codec.Decoder(EdgeLimits(), REGIONS).decode(received, ORIGIN)[0].inputs["x"]
    assert array.tobytes() == rows.tobytes()
    assert not array.flags.owndata
    assert not array.flags.writeable


def test_who_asks_and_for_what() -> None:
    """Model, version, outputs and request id travel on; an empty version means the default one."""
    request = decode(pb.ModelInferRequest(model_name="m", outputs=[{"name": "a"}, {"name": "b"}]))
    assert (request.tenant, request.model, request.version, request.request_id) == ("acme", "m", None, "r")
    assert request.outputs == ("a", "b")
    assert decode(pb.ModelInferRequest(model_version="2")).version == "2"
    assert decode(pb.ModelInferRequest()).outputs is None


def again(decoder: codec.Decoder, **fields: Any) -> InferenceRequest:
    message = pb.ModelInferRequest(model_name="m", **fields)
    return decoder.decode(messages.receive(message.SerializeToString(), EdgeLimits()), ORIGIN)[0]


def test_what_is_remembered_is_checked_against_each_tensor() -> None:
    """A declaration seen before is used again, and every tensor that comes with it is held to it."""
    decoder = codec.Decoder(EdgeLimits(), REGIONS)
    given = {"inputs": [tensor()], "parameters": parameter(timeout=1_000_000, priority=2), "outputs": [{"name": "y"}]}
    for values in (FOUR, FOUR[::-1]):
        request = again(decoder, id=str(values), raw_input_contents=[values], **given)
        assert request.inputs["x"].tobytes() == values
        assert (request.deadline, request.priority, request.outputs) == (101.0, 2, ("y",))
    for wrong in ([FOUR[1:]], [FOUR, FOUR], []):
        with pytest.raises(FuroshikiError):
            again(decoder, raw_input_contents=wrong, **given)
    other = again(decoder, inputs=[tensor(shape=[4])], raw_input_contents=[FOUR])
    assert (other.inputs["x"].shape, other.deadline) == ((4,), None)


def test_what_is_remembered_is_bounded() -> None:
    """Ten thousand shapes are decoded, and not all of them kept."""
    decoder = codec.Decoder(EdgeLimits(), REGIONS)
    for size in range(10_000):
        declared = tensor(datatype="UINT8", shape=[size, 0])
        assert again(decoder, inputs=[declared], raw_input_contents=[b""]).inputs["x"].shape == (size, 0)
    assert len(decoder._plans) <= 1024


def test_shared_memory_is_never_remembered() -> None:
    """Who may use which region is asked each time."""
    decoder = codec.Decoder(EdgeLimits(), REGIONS)
    fields = {"outputs": [{"name": "y", "parameters": parameter(shared_memory_region="r", shared_memory_byte_size=16)}]}
    for _ in range(2):
        with pytest.raises(FuroshikiError, match="no shared memory region"):
            again(decoder, inputs=[tensor()], raw_input_contents=[FOUR], **fields)
    assert not decoder._plans
