# SPDX-License-Identifier: Apache-2.0
"""The infer request as the protocol writes it, before its tensors are looked at.

Fields and parameters the protocol does not know are ignored, as its reference servers do. What it knows and this server does
not do is refused: an answer that silently left it out would be wrong.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from core.errors import ErrorCode, InvalidRequest, TensorError
from services.edge import json_tensors
from services.edge.bodies import Body
from services.edge.limits import EdgeLimits

_NOTHING: Final = msgspec.Raw()


class Input(msgspec.Struct):
    """One input tensor."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] | None = None
    data: msgspec.Raw = _NOTHING  # empty if the data is not in the JSON


class Output(msgspec.Struct):
    """One output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class Request(msgspec.Struct):
    """The JSON part of an infer request."""

    inputs: list[Input]
    id: str = ""
    parameters: dict[str, Any] | None = None
    outputs: list[Output] | None = None


_DECODER: Final = msgspec.json.Decoder(Request)


def claimed_json_size(header_length: bytes | None) -> int:
    """Bytes of the JSON part, as far as the header can be believed before the body has come; 0: all of it."""
    return int(header_length) if header_length and len(header_length) < 10 and header_length.isdigit() else 0


def json_size(header_length: bytes | None, body_size: int, limits: EdgeLimits) -> int:
    """Bytes of the JSON part.

    Args:
        header_length: ``Inference-Header-Content-Length`` as received; None: the whole body is JSON.
        body_size: Bytes of the body.
        limits: What is accepted.

    Raises:
        InvalidRequest: ``VALID_008`` if the length does not fit the body, ``VALID_003`` beyond ``limits.json_bytes``.
    """
    if header_length is None:
        size = body_size
    elif len(header_length) < 20 and header_length.isdigit() and 0 < int(header_length) <= body_size:
        size = int(header_length)
    else:
        raise InvalidRequest(
            ErrorCode.LENGTH_MISMATCH,
            f"Inference-Header-Content-Length is {header_length[:20]!r}; expected 1 to {body_size}, the body's size.",
        )
    if size > limits.json_bytes:
        raise json_tensors.too_large(size, limits.json_bytes)
    return size


def parse(text: Body, limits: EdgeLimits) -> Request:
    """Parses the JSON part.

    Raises:
        InvalidRequest: ``VALID_001`` if it is not such a message, ``VALID_003`` beyond ``limits.tensors``.
        TensorError: ``TENSOR_004`` if an output is asked for twice.
    """
    try:
        message = _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(ErrorCode.MALFORMED, f"The request is not a valid infer message: {error}.") from None
    if len(message.inputs) > limits.tensors:
        raise _too_many(len(message.inputs), "inputs", limits)
    if message.outputs:
        _check_outputs(message.outputs, limits)
    return message


def _check_outputs(outputs: list[Output], limits: EdgeLimits) -> None:
    if len(outputs) > limits.tensors:
        raise _too_many(len(outputs), "outputs", limits)
    names: set[str] = set()
    for output in outputs:
        if output.name in names:
            raise TensorError(ErrorCode.TENSOR_UNEXPECTED, f"Output {output.name[:80]!r} is asked for twice.")
        names.add(output.name)
        if output.parameters and output.parameters.get("classification"):
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD,
                f"Output {output.name[:80]!r} asks for 'classification', which this server does not do.",
            )


def _too_many(count: int, what: str, limits: EdgeLimits) -> InvalidRequest:
    return InvalidRequest(ErrorCode.TOO_LARGE, f"The request has {count} {what}; the limit is {limits.tensors}.")
