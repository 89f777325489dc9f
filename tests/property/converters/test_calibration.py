# SPDX-License-Identifier: Apache-2.0
"""Calibration files: what was saved is read, and no bytes make anything but a coded refusal."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converters.calibration import NAMES, read_calibration
from core.errors import FuroshikiError
from core.tensors import Array

ARRAYS = hnp.arrays(st.sampled_from([np.float32, np.int64, np.uint8, np.bool_]), hnp.array_shapes(max_dims=3))


def saved(array: Array) -> bytes:
    """An ``.npz`` with one array, compressed."""
    file = io.BytesIO()
    np.savez_compressed(file, x=array)
    return file.getvalue()


@given(ARRAYS)
def test_what_was_saved_is_read(array: Array) -> None:
    """``read(save(x)) == x``."""
    assert np.array_equal(read_calibration(saved(array), name=NAMES[0])["x"], array, equal_nan=array.dtype.kind == "f")


@given(ARRAYS, st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_archive_is_refused_or_read(array: Array, changes: list[tuple[int, int]]) -> None:
    """Whichever bytes change, nothing but a coded error is raised."""
    data = bytearray(saved(array))
    for place, value in changes:
        data[place % len(data)] = value
    with contextlib.suppress(FuroshikiError):
        read_calibration(bytes(data), name=NAMES[0])


@given(st.binary(max_size=200), st.sampled_from(NAMES))
def test_any_bytes_are_refused_or_read(data: bytes, name: str) -> None:
    """Nothing but a coded error is raised."""
    with contextlib.suppress(FuroshikiError):
        read_calibration(data, name=name)
