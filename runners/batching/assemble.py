# SPDX-License-Identifier: Apache-2.0
"""Merging requests into one batch and splitting its result.

The law: ``split(merge(xs)) == xs``, element for element, for requests of one bucket. A single request is passed through
without a copy; results of several are views of the batch's output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.errors import ErrorCode, OperatorError
from core.tensors import Array


def merge(requests: Sequence[Mapping[str, Array]]) -> Mapping[str, Array]:
    """Stacks requests of one bucket along dimension 0, in order."""
    if len(requests) == 1:
        return requests[0]
    return {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}


def split(outputs: Mapping[str, Array], rows: Sequence[int]) -> list[dict[str, Array]]:
    """Cuts a batch's outputs into one result per request.

    Args:
        outputs: The batch's outputs; dimension 0 of each is the batch.
        rows: Rows of each request, in the order they were merged.

    Raises:
        OperatorError: ``INFER_001`` if an output does not have one row per input row, since then no row can be attributed.
    """
    total = sum(rows)
    for name, array in outputs.items():
        if array.ndim == 0 or array.shape[0] != total:
            raise OperatorError(
                ErrorCode.INFERENCE_FAILED,
                f"Output {name!r} has shape {list(array.shape)} for a batch of {total} rows; expected {total} first.",
            )
    results: list[dict[str, Array]] = []
    start = 0
    for count in rows:
        results.append({name: array[start : start + count] for name, array in outputs.items()})
        start += count
    return results
