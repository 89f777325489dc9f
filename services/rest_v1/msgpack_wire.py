# SPDX-License-Identifier: Apache-2.0
"""The little of MessagePack's layout that must be known before a body is decoded; see the msgpack specification.

Nothing here trusts the body: what is cut off or unknown simply ends the walk, and the decoder then refuses it.
"""

from __future__ import annotations

import struct
from typing import Final

_MOST_TOKENS: Final = 4096  # more than any request of raw tensors has; a body of lists has more
_SIZES: Final = {1: struct.Struct(">B"), 2: struct.Struct(">H"), 4: struct.Struct(">I")}

# First byte: (bytes of the length that follows it, bytes after that). Containers' elements are tokens of their own.
_FIXED: Final = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 0),  # nil, false, true
    **dict(
        zip((0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF, 0xD0, 0xD1, 0xD2, 0xD3), (4, 8, 1, 2, 4, 8, 1, 2, 4, 8), strict=True)
    ),
    **dict(zip(range(0xD4, 0xD9), (2, 3, 5, 9, 17), strict=True)),  # fixext
    **dict(zip(range(0xDC, 0xE0), (2, 4, 2, 4), strict=True)),  # array16, array32, map16, map32
    **dict.fromkeys(range(0x80), 0),  # positive fixint
    **dict.fromkeys(range(0x80, 0xA0), 0),  # fixmap, fixarray
    **{0xA0 + length: length for length in range(32)},  # fixstr
    **dict.fromkeys(range(0xE0, 0x100), 0),  # negative fixint
}
_BIN: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_SIZED: Final = {**_BIN, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}  # bin, ext, str: bytes of the length


def bin_bytes(body: bytes) -> int:
    """Bytes of ``body`` that are the content of a ``bin`` among its first tokens."""
    position, end, found = 0, len(body), 0
    for _ in range(_MOST_TOKENS):
        if position >= end:
            break
        first = body[position]
        width = _SIZED.get(first)
        if width is None:
            skipped = _FIXED.get(first)
            if skipped is None:
                break
            position += 1 + skipped
            continue
        if position + 1 + width > end:
            break
        (size,) = _SIZES[width].unpack_from(body, position + 1)
        position += 1 + width + size
        if position > end:
            break
        if first in _BIN:
            found += size
    return found


def is_map(head: bytes) -> bool:
    """Whether a value that starts with ``head`` is a map."""
    return head[:1] in (b"\xde", b"\xdf") or head[0] & 0xF0 == 0x80


def is_array(head: bytes) -> bool:
    """Whether a value that starts with ``head`` is an array."""
    return head[:1] in (b"\xdc", b"\xdd") or head[0] & 0xF0 == 0x90


def map_size(head: bytes) -> int:
    """Entries a valid map with these first five bytes (or fewer, if it has no more) says it has."""
    match head[0]:
        case 0xDE:
            return int.from_bytes(head[1:3], "big")
        case 0xDF:
            return int.from_bytes(head[1:5], "big")
        case first:
            return first & 0x0F


def first_element(array: bytes) -> bytes:
    """The first byte of the first element of a valid array; empty if it has none."""
    skipped = {0xDC: 3, 0xDD: 5}.get(array[0], 1)
    return array[skipped : skipped + 1]
