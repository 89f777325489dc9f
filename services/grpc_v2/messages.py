# SPDX-License-Identifier: Apache-2.0
"""Received messages, parsed, before any tensor is looked at.

A large infer request is parsed without its raw tensors, so that the parser does not copy them. What is left beside them has
the limit of a JSON part, because parsing it holds the event loop just the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message

from core.errors import ErrorCode, InvalidRequest
from services.edge.limits import EdgeLimits
from services.grpc_v2 import wire
from services.grpc_v2.protocol import open_inference_pb2 as pb

_RAW_INPUT: Final = pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER
_SMALL_BYTES: Final = 64 * 2**10  # below it a copy costs less than a look at each field

_Kind = TypeVar("_Kind", bound=Message)


class Piece(NamedTuple):
    """A raw tensor: ``size`` bytes of ``body`` from ``start``."""

    body: bytes
    start: int
    size: int


class Received(NamedTuple):
    """An infer request. Its raw tensors and its id were taken out of the message."""

    message: pb.ModelInferRequest
    id: str
    raw: Sequence[Piece]


def parse(kind: type[_Kind], data: bytes) -> _Kind:
    """Parses any request.

    Raises:
        InvalidRequest: ``VALID_001``.
    """
    try:
        return kind.FromString(data)
    except DecodeError:
        raise _malformed(kind.DESCRIPTOR.name, "it cannot be parsed") from None


def receive(data: bytes, limits: EdgeLimits) -> Received:
    """Parses an infer request.

    Raises:
        InvalidRequest: ``VALID_001`` if it is not such a message, ``VALID_003`` beyond ``limits.tensors``, or if what it
            holds beside raw tensors exceeds ``limits.json_bytes``.
    """
    if len(data) > _SMALL_BYTES or len(data) > limits.json_bytes:
        message, raw = _parse_large(data, limits)
    else:
        message = parse(pb.ModelInferRequest, data)
        raw = [Piece(body, 0, len(body)) for body in message.raw_input_contents]
        message.ClearField("raw_input_contents")
    most = max(len(message.inputs), len(message.outputs), len(raw))
    if most > limits.tensors:
        raise InvalidRequest(ErrorCode.TOO_LARGE, f"The request has {most} tensors; the limit is {limits.tensors}.")
    id_ = message.id
    if id_:
        message.ClearField("id")
    return Received(message, id_, raw)


def _parse_large(data: bytes, limits: EdgeLimits) -> tuple[pb.ModelInferRequest, list[Piece]]:
    try:
        rest, cut = wire.split(data, _RAW_INPUT)
    except wire.TooManyFields as error:
        raise InvalidRequest(ErrorCode.TOO_LARGE, f"The request has {error}.") from None
    except wire.WireError as error:
        raise _malformed("ModelInferRequest", str(error)) from None
    if len(rest) > limits.json_bytes:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE,
            f"The request has {len(rest)} bytes beside raw tensors; the limit is {limits.json_bytes}. Larger tensors: "
            "send them in raw_input_contents.",
            details={"got": len(rest), "limit": limits.json_bytes},
        )
    return parse(pb.ModelInferRequest, rest), [Piece(data, start, size) for start, size in cut]


def plain(parameters: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    """Parameters as plain Python values; None for one without a value."""
    return {key: _plain(value) for key, value in parameters.items()}


def _plain(parameter: pb.InferParameter) -> Any:
    chosen = parameter.WhichOneof("parameter_choice")
    return None if chosen is None else getattr(parameter, chosen)


def _malformed(kind: str, why: str) -> InvalidRequest:
    return InvalidRequest(ErrorCode.MALFORMED, f"The request is not a valid {kind}: {why}.")
