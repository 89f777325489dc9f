# SPDX-License-Identifier: Apache-2.0
"""Changes that keep most of a request whole, so that what is wrong is met deep inside a codec and not at its door."""

from __future__ import annotations

import math
from random import Random
from typing import Any, Final

from tests.fuzz.services.trees import Deep, Fields, Pairs

NUMBERS: Final = (
    0,
    1,
    -1,
    2,
    3,
    8,
    127,
    128,
    255,
    256,
    65535,
    2**31 - 1,
    2**31,
    2**32,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63),
)
SCALARS: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    *NUMBERS,
    2**64 - 1,
    0.0,
    -0.0,
    1.5,
    1e39,
    1.7e308,
    math.inf,
    math.nan,
    "",
    "x",
    "é\x00",
    "\ud800",
    "9" * 300,
    b"",
    b"\xff\xfe",
    b"\x00\x00\x80\x3f" * 2,
    b"\x02\x00\x00\x00ab",
)
WORDS: Final = (
    *("BOOL", "UINT8", "UINT64", "INT8", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64", "BYTES", "fp32", "STRING"),
    *(
        "model",
        "inputs",
        "outputs",
        "x",
        "y",
        "data",
        "shape",
        "datatype",
        "name",
        "parameters",
        "timeout",
        "timeout_ms",
    ),
    *("priority", "version", "binary_data_size", "binary_data", "binary_data_output", "sequence_id", "classification"),
    *("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size", "id", "raw"),
)


def mutate_tree(node: Any, random: Random) -> Any:
    """A copy of ``node`` with one change somewhere in it."""
    if isinstance(node, Fields):
        return _fields(node, random)
    if isinstance(node, Pairs):
        return _pairs(node, random)
    if isinstance(node, list):
        return _list(node, random)
    return _leaf(node, random)


def _descends(node: list[Any], random: Random) -> bool:
    return bool(node) and random.random() < 0.9


def _pairs(node: Pairs, random: Random) -> Any:
    changed = Pairs(node)
    if _descends(node, random):
        containers = [index for index, (_, value) in enumerate(node) if isinstance(value, list)]
        index = random.choice((*containers * 3, *range(len(node))))
        key, value = node[index]
        changed[index] = (key, mutate_tree(value, random))
        return changed
    match random.randrange(6):
        case 0 if node:
            del changed[random.randrange(len(node))]
        case 1 if node:
            changed.insert(random.randrange(len(node) + 1), random.choice(node))
        case 2 if node:
            index = random.randrange(len(node))
            changed[index] = (random.choice(WORDS), node[index][1])
        case 3:
            changed.append((random.choice(WORDS), random.choice((*SCALARS, *WORDS))))
        case 4 if len(node) > 1:
            one, other = random.sample(range(len(node)), 2)
            changed[one], changed[other] = (node[one][0], node[other][1]), (node[other][0], node[one][1])
        case _:
            return _other(node, random)
    return changed


def _list(node: list[Any], random: Random) -> Any:
    changed = list(node)
    if _descends(node, random):
        index = random.randrange(len(node))
        changed[index] = mutate_tree(node[index], random)
        return changed
    match random.randrange(5):
        case 0 if node:
            del changed[random.randrange(len(node))]
        case 1 if node:
            changed.insert(random.randrange(len(node) + 1), random.choice(node))
        case 2:
            changed.append(random.choice(SCALARS))
        case 3 if node:
            changed *= random.choice((0, 2, 5, 40))
        case _:
            return _other(node, random)
    return changed


def _other(node: Any, random: Random) -> Any:
    """Something else altogether, or the same wrapped."""
    match random.randrange(5):
        case 0:
            return random.choice(SCALARS)
        case 1:
            return [node]
        case 2:
            return Pairs([(random.choice(WORDS), node)])
        case 3:
            return Deep(random.choice((3, 70, 1100)))
        case _:
            return random.choice(WORDS)


def _leaf(node: Any, random: Random) -> Any:
    if isinstance(node, bytes) and random.random() < 0.7:
        return mutate_bytes(node, random)
    if isinstance(node, bool | Deep) or not isinstance(node, int | float) or random.random() < 0.5:
        return _other(node, random)
    if isinstance(node, float):
        return node * random.choice((-1.0, 1e10, 1e40, 1e300))
    return node + random.choice((-1, 1, 2, -node, random.choice(NUMBERS)))


def _fields(node: Fields, random: Random) -> Fields:
    changed = Fields(node)
    if not node:
        return Fields([_field(random)])
    index = random.randrange(len(node))
    number, kind, value = node[index]
    if random.random() < 0.85:
        changed[index] = (number, kind, _value(kind, value, random))
        return changed
    match random.randrange(6):
        case 0:
            del changed[index]
        case 1:
            changed.insert(random.randrange(len(node) + 1), node[index])
        case 2:
            changed[index] = (random.choice((0, 1, number + 1, random.randrange(20), 2**29 - 1)), kind, value)
        case 3:
            changed.append(_field(random))
        case 4:
            changed[index : index + 1] = [node[index]] * random.choice((3, 30, 300))
        case _:
            changed[index] = (number, *_field(random)[1:])
    return changed


def _value(kind: int, value: Any, random: Random) -> Any:
    if isinstance(value, Fields):
        return mutate_tree(value, random)
    if kind == 0:
        return random.choice((value + 1, value - 1, *NUMBERS))
    if kind == 2:
        return mutate_bytes(value, random) if random.random() < 0.7 else random.choice(WORDS).encode()
    return random.randbytes(len(value))


def _field(random: Random) -> tuple[int, int, Any]:
    kind = random.choice((0, 0, 1, 2, 2, 2, 3, 4, 5, 6, 7))
    value: Any = {0: random.choice(NUMBERS), 1: random.randbytes(8), 5: random.randbytes(4)}.get(kind, b"")
    if kind == 2:
        value = random.choice((b"", b"x", random.randbytes(random.randrange(12)), Fields()))
    return random.randrange(1, 13), kind, value


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """A copy of ``data`` with one change somewhere in it."""
    changed = bytearray(data)
    at = random.randrange(len(data) + 1)
    size = min(random.choice((1, 1, 2, 4, 8, 32)), len(data) - at)
    match random.randrange(7):
        case 0 if at < len(data):
            changed[at] ^= 1 << random.randrange(8)
        case 1 if at < len(data):
            changed[at] = random.randrange(256)
        case 2:
            del changed[at : at + size]
        case 3:
            changed[at:at] = random.randbytes(random.choice((1, 2, 4, 9)))
        case 4:
            changed[at:at] = data[at : at + size]
        case 5:
            del changed[at:]
        case _:
            changed[at:at] = random.choice(
                (b"\xff\xff\xff\xff", b"\x00", b"[", b"]", b"{", b'"', b",", b"\xdd", b"\xdf", b"\x80")
            )
    return bytes(changed)
