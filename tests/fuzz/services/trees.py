# SPDX-License-Identifier: Apache-2.0
"""Requests as trees, and how each is written: JSON, MessagePack, Protobuf.

Writers are this suite's own, because libraries refuse to write what a hostile client sends: keys given twice, numbers no
parser should take, lengths that lie, integers wider than they need to be.
"""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

_LIE: Final = 0.004  # how often a length is not true


class Pairs(list[tuple[Any, Any]]):
    """An object whose keys need be neither unique nor strings."""


class Deep(int):
    """So many lists inside each other."""


class Fields(list[tuple[int, int, Any]]):
    """A Protobuf message: (number, wire type, value); the value of wire type 2 is bytes or ``Fields``."""


def tree_of(value: Any) -> Any:
    """A plain value with its objects as :class:`Pairs`."""
    if isinstance(value, dict):
        return Pairs((key, tree_of(item)) for key, item in value.items())
    if isinstance(value, list):
        return [tree_of(item) for item in value]
    return value


def to_json(node: Any, random: Random) -> str:
    """JSON, or what looks like it."""
    space = random.choice(("", "", "", " ", "\n\t"))
    if isinstance(node, Pairs):
        return "{" + ",".join(f"{space}{_key(k)}:{space}{to_json(v, random)}" for k, v in node) + space + "}"
    if isinstance(node, list):
        return "[" + ("," + space).join(to_json(item, random) for item in node) + "]"
    if isinstance(node, bytes):
        return json.dumps(node.decode("latin-1"))
    if isinstance(node, Deep):
        return "[" * node + "]" * node
    return json.dumps(node, ensure_ascii=random.random() < 0.5)


def _key(key: Any) -> str:
    return json.dumps(key) if isinstance(key, str) else f'"{key}"'


def to_msgpack(node: Any, random: Random) -> bytes:
    """MessagePack, with sizes of any legal width and now and then a wrong one."""
    if isinstance(node, Pairs):
        body = b"".join(to_msgpack(key, random) + to_msgpack(value, random) for key, value in node)
        return _sized(len(node), random, {2: b"\xde", 4: b"\xdf"}, (0x80, 15)) + body
    if isinstance(node, list):
        body = b"".join(to_msgpack(item, random) for item in node)
        return _sized(len(node), random, {2: b"\xdc", 4: b"\xdd"}, (0x90, 15)) + body
    if isinstance(node, str):
        text = node.encode(errors="surrogatepass")
        return _sized(len(text), random, {1: b"\xd9", 2: b"\xda", 4: b"\xdb"}, (0xA0, 31)) + text
    if isinstance(node, bytes):
        return _sized(len(node), random, {1: b"\xc4", 2: b"\xc5", 4: b"\xc6"}, None) + node
    if isinstance(node, Deep):
        return b"\x91" * node + b"\xc0"
    return _scalar(node, random)


def _sized(size: int, random: Random, wide: dict[int, bytes], short: tuple[int, int] | None) -> bytes:
    if random.random() < _LIE:
        size = random.choice((0, size + 1, max(size - 1, 0), 2**16 - 1, 2**32 - 1))
    if short is not None and size <= short[1] and random.random() < 0.9:
        return bytes([short[0] + size])
    fitting = [width for width in wide if size < 1 << 8 * width]
    width = random.choice(fitting) if fitting and random.random() < 0.2 else min(fitting, default=4)
    return wide[width] + (size % (1 << 8 * width)).to_bytes(width, "big")


def _scalar(node: float | None, random: Random) -> bytes:
    if node is None or isinstance(node, bool):
        return b"\xc0" if node is None else b"\xc3" if node else b"\xc2"
    if isinstance(node, float):
        if random.random() < 0.5 and abs(node) < 3e38:
            return b"\xca" + struct.pack(">f", node)
        return b"\xcb" + struct.pack(">d", node)
    if 0 <= node < 128 and random.random() < 0.9:
        return bytes([node])
    if node >= 0:
        return b"\xcf" + (node % 2**64).to_bytes(8, "big")
    return b"\xd3" + max(node, -(2**63)).to_bytes(8, "big", signed=True)


def to_wire(node: Fields, random: Random) -> bytes:
    """Protobuf, with numbers longer than they need be and now and then a wrong length."""
    parts: list[bytes] = []
    for number, kind, value in node:
        parts.append(_varint(number << 3 | kind, random))
        if kind == 2:
            data = to_wire(value, random) if isinstance(value, Fields) else value
            size = len(data) if random.random() >= _LIE else random.choice((0, len(data) + 1, 2**31, 2**63))
            parts += (_varint(size, random), data)
        elif kind == 0:
            parts.append(_varint(value, random))
        else:
            parts.append(value)
    return b"".join(parts)


def _varint(value: int, random: Random) -> bytes:
    data = bytearray()
    value &= 2**64 - 1
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    if random.random() < 0.002:
        data[-1] |= 0x80
        data += b"\x80" * random.randrange(10) + b"\x00"
    return bytes(data)


def from_wire(data: bytes, descriptor: Any) -> Fields:
    """A valid message as a tree, as deep as its description goes."""
    node, position = Fields(), 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        number, kind = tag >> 3, tag & 7
        value: Any
        if kind == 0:
            value, position = _read_varint(data, position)
        else:
            size, position = _read_varint(data, position) if kind == 2 else ({1: 8, 5: 4}[kind], position)
            value = data[position : position + size]
            position += size
        field = descriptor.fields_by_number.get(number)
        if kind == 2 and field is not None and field.type == FieldDescriptor.TYPE_MESSAGE:
            value = from_wire(value, field.message_type)
        node.append((number, kind, value))
    return node


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
