# SPDX-License-Identifier: Apache-2.0
"""Two shortcuts through the Protobuf wire format, so that tensors are not copied once more than needed.

A serialised message is a sequence of fields, and fields of two messages that follow each other are those of their merged
message (protobuf.dev, "Encoding": last one wins, embedded messages merge, repeated fields concatenate). So raw tensors can be
cut out of a large request before it is parsed, and be put behind the other fields of an answer.

Law, tested: what :func:`split` returns, put together again, parses to the same message.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_VARINT: Final = 0
_FIXED64: Final = 1
_DELIMITED: Final = 2
_FIXED32: Final = 5
_MOST_FIELDS: Final = 1024  # of a message that is split; each costs the event loop a step


class WireError(ValueError):
    """The bytes are not a message."""


class TooManyFields(ValueError):
    """The message has more fields than are looked at."""


class Split(NamedTuple):
    """A message without the occurrences of one field, and where those lie in it."""

    rest: bytes
    cut: list[tuple[int, int]]  # start and size of each value


def split(message: bytes, field: int) -> Split:
    """Cuts a repeated bytes field out of a message.

    Args:
        message: The serialised message.
        field: The number of the field.

    Raises:
        WireError: If a field does not end where the message does, or is of a deprecated kind.
        TooManyFields: Beyond a thousand fields.
    """
    wanted = field << 3 | _DELIMITED
    rest: list[bytes] = []
    cut: list[tuple[int, int]] = []
    position, kept_from, end = 0, 0, len(message)
    for _ in range(_MOST_FIELDS):
        if position == end:
            rest.append(message[kept_from:])
            return Split(b"".join(rest), cut)
        start = position
        tag, position = _varint(message, position)
        position, size = _value(message, position, tag & 7)
        if tag == wanted:
            rest.append(message[kept_from:start])
            cut.append((position - size, size))
            kept_from = position
    raise TooManyFields(f"more than {_MOST_FIELDS} fields")


def _value(message: bytes, position: int, kind: int) -> tuple[int, int]:
    """Where a value ends, and its size."""
    if kind == _DELIMITED:
        size, position = _varint(message, position)
    elif kind == _VARINT:
        size, (_, position) = 0, _varint(message, position)
    elif kind in (_FIXED64, _FIXED32):
        size = 8 if kind == _FIXED64 else 4
    else:
        raise WireError(f"wire type {kind} at byte {position}")
    position += size
    if position > len(message):
        raise WireError("a field goes beyond the end of the message")
    return position, size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70 and position < len(message):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise WireError("the message ends inside a number")


def delimited(field: int, size: int) -> bytes:
    """What stands before ``size`` bytes of a string, bytes or message field."""
    head = bytearray((field << 3 | _DELIMITED,))  # one byte: fields up to 15
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head)
