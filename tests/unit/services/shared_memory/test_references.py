# SPDX-License-Identifier: Apache-2.0
"""References to shared memory in the parameters of a tensor, and the shared memory of one request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from core.tensors import DType
from services.edge import binary_tensors
from services.shared_memory.references import Places, Reference, reference
from services.shared_memory.regions import RegionLimits, Regions

NUMBERS = np.arange(6, dtype="<f4").reshape(2, 3)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A request of a tenant with one region of 100 bytes that begins with NUMBERS."""
    (tmp_path / "mine").write_bytes(NUMBERS.tobytes().ljust(100, b"\0"))
    regions = Regions(RegionLimits(enabled=True), folder=tmp_path)
    regions.register("acme", "r", "/mine", 0, 100)
    return Places(regions, "acme", most_bytes=60)


def test_a_reference() -> None:
    """A region and a size, with an offset or without; other parameters do not matter."""
    named = {"shared_memory_region": "r", "shared_memory_byte_size": 8, "binary_data": False}
    assert reference(named, name="x") == Reference("r", 0, 8)
    assert reference(named | {"shared_memory_offset": 4}, name="x") == Reference("r", 4, 8)
    assert reference({"binary_data": True}, name="x") is None


@pytest.mark.parametrize(
    "parameters",
    [
        {"shared_memory_region": "r"},
        {"shared_memory_byte_size": 8},
        {"shared_memory_offset": 0},
        {"shared_memory_region": 1, "shared_memory_byte_size": 8},
        {"shared_memory_region": "r", "shared_memory_byte_size": -8},
        {"shared_memory_region": "r", "shared_memory_byte_size": "8"},
        {"shared_memory_region": "r", "shared_memory_byte_size": True},
        {"shared_memory_region": "r", "shared_memory_byte_size": 8.0},
        {"shared_memory_region": "r", "shared_memory_byte_size": 2**63},
        {"shared_memory_region": "r", "shared_memory_byte_size": 8, "shared_memory_offset": -1},
        {"shared_memory_region": "r", "shared_memory_byte_size": 8, "shared_memory_offset": None},
    ],
)
def test_half_a_reference(parameters: dict[str, Any]) -> None:
    """One parameter without the other, or of another type, is an error rather than no reference."""
    with refused(ErrorCode.INVALID_FIELD):
        reference(parameters, name="x")


def test_inputs(places: Places) -> None:
    """A tensor is read from where it lies; its bytes must be exactly those of its shape."""
    read = places.read(Reference("r", 0, 24), dtype=DType.FP32, shape=[2, 3], count=6, name="x")
    np.testing.assert_array_equal(read, NUMBERS)
    with refused(ErrorCode.TENSOR_DATA):
        places.read(Reference("r", 0, 20), dtype=DType.FP32, shape=[2, 3], count=6, name="x")


def test_inputs_are_bounded_together(places: Places) -> None:
    """What a request reads counts as if it had sent it, however often it names the same bytes."""
    for _ in range(2):
        places.read(Reference("r", 0, 24), dtype=DType.FP32, shape=[6], count=6, name="x")
    with refused(ErrorCode.TOO_LARGE):
        places.read(Reference("r", 0, 24), dtype=DType.FP32, shape=[6], count=6, name="x")


def test_outputs(places: Places) -> None:
    """An output is put where it is expected, and its parameters say where and how large it is; others are not touched."""
    places.expect("y", Reference("r", 50, 30))
    assert places.write("z", NUMBERS, DType.FP32) is None
    assert places.write("y", NUMBERS, DType.FP32) == {
        "shared_memory_region": "r",
        "shared_memory_offset": 50,
        "shared_memory_byte_size": 24,
    }
    np.testing.assert_array_equal(
        places.read(Reference("r", 50, 24), dtype=DType.FP32, shape=[2, 3], count=6, name="y"), NUMBERS
    )


def test_bytes_elements(places: Places) -> None:
    """BYTES elements lie in memory with their lengths, as in a body."""
    words = np.array([b"a", b"", b"long"], dtype=object)
    places.expect("y", Reference("r", 0, 30))
    assert places.write("y", words, DType.BYTES) == {"shared_memory_region": "r", "shared_memory_byte_size": 17}
    found = places.read(Reference("r", 0, 17), dtype=DType.BYTES, shape=[3], count=3, name="y")
    assert found.tolist() == words.tolist()
    assert len(binary_tensors.encode(words, DType.BYTES)) == 17


def test_an_output_that_does_not_fit(places: Places) -> None:
    """An output larger than what was set aside for it is refused, and nothing is written."""
    places.expect("y", Reference("r", 76, 20))
    with refused(ErrorCode.INVALID_FIELD):
        places.write("y", NUMBERS, DType.FP32)
    assert places.read(Reference("r", 76, 24), dtype=DType.UINT8, shape=[24], count=24, name="y").sum() == 0


@pytest.mark.parametrize("at", [Reference("other", 0, 1), Reference("r", 90, 11)])
def test_an_output_that_has_no_place(places: Places, at: Reference) -> None:
    """Where an output cannot go is told before the model runs."""
    with refused(ErrorCode.INVALID_FIELD):
        places.expect("y", at)
