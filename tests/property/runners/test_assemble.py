# SPDX-License-Identifier: Apache-2.0
"""The law of assemble.py: ``split(merge(xs)) == xs``."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import OperatorError
from core.tensors import Array, DType
from runners.batching.assemble import merge, split

NUMERIC = [dtype.numpy for dtype in DType if dtype not in (DType.BYTES, DType.BF16)]


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
    results = split(merge(requests), rows)
    assert len(results) == len(requests)
    for request, result in zip(requests, results, strict=True):
        assert result.keys() == request.keys()
        for name in request:
            assert result[name].dtype == request[name].dtype
            np.testing.assert_array_equal(result[name], request[name])


def test_a_single_request_is_not_copied() -> None:
    """merge of one request is that request."""
    request = {"x": np.ones((2, 3))}
    assert merge([request]) is request


@pytest.mark.parametrize("output", [np.zeros(()), np.zeros((3, 1)), np.zeros((0,))])
def test_an_output_without_a_row_per_input_row_is_refused(output: Array) -> None:
    """When rows cannot be attributed nobody gets anybody's rows."""
    with pytest.raises(OperatorError, match="'y'"):
        split({"y": output}, [1, 1])
