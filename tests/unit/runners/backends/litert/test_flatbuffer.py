# SPDX-License-Identifier: Apache-2.0
"""The first offsets of TFLite files."""

from __future__ import annotations

from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.testing import refused
from core.errors import ErrorCode, ModelError
from runners.backends.litert.flatbuffer import check_root

# Root offset 12, identifier, vtable of four bytes at 8, root table of four bytes at 12.
SMALLEST = pack("<I4sHHi", 12, b"TFL3", 4, 4, 4)


def test_the_smallest_file_is_taken() -> None:
    """A root table without fields."""
    check_root(SMALLEST)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"TFL3",
        b"\x1c\0\0\0TFL3 not a model",
        SMALLEST[:-1],
        pack("<I4sHHi", 12, b"TFL2", 4, 4, 4),
        pack("<I4sHHi", 12, b"TFL3", 4, 4, 13),
        pack("<I4sHHi", 12, b"TFL3", 4, 4, -100),
        pack("<I4sHHi", 12, b"TFL3", 4, 4, -(2**31)),
        pack("<I4sHHi", 12, b"TFL3", 2, 4, 4),
        pack("<I4sHHi", 12, b"TFL3", 9, 4, 4),
        pack("<I4sHHi", 12, b"TFL3", 4, 5, 4),
        pack("<I4sHHi", 2**32 - 1, b"TFL3", 4, 4, 4),
    ],
)
def test_what_points_out_of_the_file_is_refused(damaged: bytes) -> None:
    """Before any runtime follows it."""
    with refused(ErrorCode.MODEL_INVALID):
        check_root(damaged)


@given(st.binary(max_size=40))
def test_no_bytes_make_it_fail_otherwise(tail: bytes) -> None:
    """Any file is taken or refused with the code."""
    for data in (tail, b"\x08\0\0\0TFL3" + tail):
        with suppress(ModelError):
            check_root(data)
