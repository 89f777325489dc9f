# SPDX-License-Identifier: Apache-2.0
"""The small JSON bodies of the protocol's extensions. A body may be empty: all its fields then have their defaults."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from core.errors import ErrorCode, InvalidRequest
from services.edge import json_tensors
from services.edge.bodies import Body
from services.edge.limits import EdgeLimits

T = TypeVar("T")


class Index(msgspec.Struct):
    """What the index is asked for."""

    ready: bool = False  # leaves out what is not ready


class Change(msgspec.Struct):
    """A load or an unload."""

    parameters: dict[str, Any] = {}


class Region(msgspec.Struct):
    """A region of shared memory to register."""

    key: str
    byte_size: int
    offset: int = 0


INDEX: Final = msgspec.json.Decoder(Index)
CHANGE: Final = msgspec.json.Decoder(Change)
REGION: Final = msgspec.json.Decoder(Region)


def parse(body: Body, decoder: msgspec.json.Decoder[T], limits: EdgeLimits) -> T:
    """Parses a body.

    Raises:
        InvalidRequest: ``VALID_001`` if it is not of the decoder's type, ``VALID_003`` beyond ``limits.json_bytes``.
    """
    if len(body) > limits.json_bytes:
        raise json_tensors.too_large(len(body), limits.json_bytes)
    try:
        return decoder.decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(ErrorCode.MALFORMED, f"The body is not valid: {error}.") from None
