# SPDX-License-Identifier: Apache-2.0
"""What a Protobuf body would cost to parse, found before it is parsed.

The parser makes an object of every empty submessage, so that a body of such would cost many times its size. This
walk counts fields, inputs and the bytes of ``raw``; it goes three messages deep and no further, as the request does.
See https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from typing import Final

from services.rest_v1.furoshiki_v1_pb2 import InferRequest, Tensor

_ENTRY_VALUE: Final = 2  # of a map entry
_PATH: Final = (InferRequest.INPUTS_FIELD_NUMBER, _ENTRY_VALUE, Tensor.RAW_FIELD_NUMBER)
_LONGEST_VARINT: Final = 10


class Unreadable(ValueError):
    """The body ends inside a field, or holds what no request holds."""


class TooManyFields(Exception):
    """More fields than were allowed."""


class Census:
    """What a body holds.

    Args:
        body: The request.
        most_fields: After which counting ends.

    Raises:
        TooManyFields: Beyond ``most_fields``.
        Unreadable: If it is no message.
    """

    __slots__ = ("_body", "_most_fields", "fields", "inputs", "raw_bytes")

    def __init__(self, body: bytes, *, most_fields: int) -> None:
        self._body = body
        self._most_fields = most_fields
        self.fields = self.inputs = self.raw_bytes = 0
        self._walk(0, len(body), 0)

    def _walk(self, position: int, end: int, depth: int) -> None:
        while position < end:
            self.fields += 1
            if self.fields > self._most_fields:
                raise TooManyFields
            tag, position = self._varint(position, end)
            match tag & 7:
                case 0:
                    _, position = self._varint(position, end)
                case 1:
                    position += 8
                case 5:
                    position += 4
                case 2:
                    size, position = self._varint(position, end)
                    if size <= end - position and tag >> 3 == _PATH[depth]:
                        self._enter(position, size, depth)
                    position += size
                case kind:
                    raise Unreadable(f"wire type {kind} is not supported")
        if position > end:
            raise Unreadable("it ends inside a field")

    def _enter(self, position: int, size: int, depth: int) -> None:
        if depth == len(_PATH) - 1:
            self.raw_bytes += size
            return
        if depth == 0:
            self.inputs += 1
        self._walk(position, position + size, depth + 1)

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        body, value = self._body, 0
        for index in range(position, min(end, position + _LONGEST_VARINT)):
            byte = body[index]
            value |= (byte & 0x7F) << 7 * (index - position)
            if byte < 0x80:
                return value, index + 1
        raise Unreadable("it ends inside a number")
