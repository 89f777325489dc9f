# SPDX-License-Identifier: Apache-2.0
"""The law of assemble.py: ``split(merge(xs)) == xs``, whatever padding lies between."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import OperatorError
from core.tensors import Array, DType
from runners.batching.assemble import Assembler
from runners.batching.options import BatchOptions, Ragged

NUMERIC = [dtype.numpy for dtype in DType if dtype not in (DType.BYTES, DType.BF16)]
EXACT = Assembler(BatchOptions())
FIXED = 24
RAGGED = Ragged(inputs={"t0": 1, "t1": 2}, pads={"t0": 0, "t1": 7}, outputs={"t0": 1, "t1": 2})


def same(requests: list[dict[str, Array]], results: list[dict[str, Array]]) -> None:
    assert len(results) == len(requests)
    for request, result in zip(requests, results, strict=True):
        assert result.keys() == request.keys()
        for name in request:
            assert result[name].dtype == request[name].dtype
            np.testing.assert_array_equal(result[name], request[name])


@st.composite
def buckets(draw: st.DrawFn) -> list[dict[str, Array]]:
    """Requests of one bucket: two tensors each, same shapes behind the rows, one to six requests."""
    specs = [(draw(st.sampled_from(NUMERIC)), draw(hnp.array_shapes(max_dims=2, max_side=3))) for _ in range(2)]
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    return [
        {f"t{i}": draw(hnp.arrays(dtype, (rows, *shape))) for i, (dtype, shape) in enumerate(specs)} for rows in counts
    ]


@given(buckets())
def test_split_of_merge_is_the_requests(requests: list[dict[str, Array]]) -> None:
    """split(merge(xs)) == xs, element for element and with the same datatypes."""
    rows = [len(request["t0"]) for request in requests]
    same(requests, EXACT.split(dict(EXACT.merge(requests)), rows))


@given(buckets())
def test_a_fixed_batch_is_filled_and_cut_back(requests: list[dict[str, Array]]) -> None:
    """Every execution has exactly the model's rows, the missing ones copies of the last; split(merge(xs)) == xs."""
    fixed = Assembler(BatchOptions(fixed=FIXED))
    rows = [len(request["t0"]) for request in requests]
    merged = fixed.merge(requests)
    for name, array in merged.items():
        assert len(array) == FIXED
        for filler in array[sum(rows) :]:
            np.testing.assert_array_equal(filler, requests[-1][name][-1])
    same(requests, fixed.split(dict(merged), rows))


@st.composite
def ragged_buckets(draw: st.DrawFn) -> list[dict[str, Array]]:
    """Requests that differ in rows and in one length, which is axis 1 of one tensor and axis 2 of the other."""
    first, second = draw(st.sampled_from(NUMERIC)), draw(st.sampled_from(NUMERIC))
    sizes = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5)), min_size=1, max_size=6))
    return [
        {
            "t0": draw(hnp.arrays(first, (rows, length))),
            "t1": draw(hnp.arrays(second, (rows, 2, length))),
            "t2": draw(hnp.arrays(first, (rows, 3))),
        }
        for rows, length in sizes
    ]


@given(ragged_buckets())
def test_lengths_are_padded_and_cut_back(requests: list[dict[str, Array]]) -> None:
    """Each ragged input has the longest length, padded with its value; split(merge(xs)) == xs."""
    ragged = Assembler(BatchOptions(ragged=RAGGED))
    rows, lengths = [len(request["t0"]) for request in requests], [request["t0"].shape[1] for request in requests]
    merged = ragged.merge(requests, lengths)
    assert merged["t0"].shape == (sum(rows), max(lengths))
    assert merged["t1"].shape == (sum(rows), 2, max(lengths))
    start = 0
    for count, length in zip(rows, lengths, strict=True):
        assert (merged["t0"][start : start + count, length:] == 0).all()
        assert (merged["t1"][start : start + count, :, length:] == np.asarray(7, merged["t1"].dtype)).all()
        start += count
    same(requests, ragged.split(dict(merged), rows, lengths))


def test_a_single_request_is_not_copied() -> None:
    """merge of one request is that request."""
    request = {"x": np.ones((2, 3))}
    assert EXACT.merge([request]) is request


@pytest.mark.parametrize("output", [np.zeros(()), np.zeros((3, 1)), np.zeros((0,))])
def test_an_output_without_a_row_per_input_row_is_refused(output: Array) -> None:
    """When rows cannot be attributed nobody gets anybody's rows."""
    with pytest.raises(OperatorError, match="'y'"):
        EXACT.split({"y": output}, [1, 1])


@pytest.mark.parametrize("output", [np.zeros((2, 4)), np.zeros((2,))], ids=["length", "rank"])
def test_an_output_of_another_length_is_refused(output: Array) -> None:
    """A ragged output that does not have the length of the batch cannot be cut back."""
    ragged = Assembler(BatchOptions(ragged=RAGGED))
    with pytest.raises(OperatorError, match="'t0'.*length 3"):
        ragged.split({"t0": output, "t1": np.zeros((2, 1, 3))}, [1, 1], [2, 3])


def test_a_single_row_of_a_fixed_batch_is_not_the_whole_batch() -> None:
    """One row sent to a fixed batch comes back alone."""
    fixed = Assembler(BatchOptions(fixed=4))
    assert fixed.split({"y": np.arange(4)}, [1])[0]["y"].tolist() == [0]
    with pytest.raises(OperatorError, match="4 rows"):
        fixed.split({"y": np.arange(3)}, [1])
