# SPDX-License-Identifier: Apache-2.0
"""What a request is to the queue: its bucket, rows, bytes and cost.

Requests share a batch only when their keys are equal: every input has the same shape behind the batch dimension, a declared
ragged axis aside. Datatypes are those of the model's signature, so nothing is ever promoted.

The cost of a request is counted in units, which are proportional to the work as far as the shapes tell: rows where every row
has the same shape; rows times length where an axis is ragged; bytes where shapes vary otherwise, or the elements are BYTES.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

from core.tensors import ANY, Array, DType, Signature, nbytes
from runners.batching.options import BatchOptions, Ragged
from runners.batching.work import BucketKey

Measured: TypeAlias = tuple[BucketKey, int, int, int, int]  # key, rows, bytes, units, length of the ragged axis
Measure: TypeAlias = Callable[[Mapping[str, Array]], Measured]


def counts_rows(signature: Signature, options: BatchOptions) -> bool:
    """Whether every row of a model costs the same, so that its units are rows."""
    behind = 1 if signature.batched else 0
    return options.ragged is None and not any(
        spec.dtype is DType.BYTES or ANY in spec.shape[behind:] for spec in signature.inputs
    )


def measure_of(signature: Signature, options: BatchOptions) -> Measure:
    """The function that measures a model's requests, which were checked against its signature.

    Args:
        signature: As callers see it.
        options: What the model declares.
    """
    names = [spec.name for spec in signature.inputs]
    if options.ragged is not None:
        return _ragged(names, options.ragged)
    if not counts_rows(signature, options):
        return _varying(names, batched=signature.batched)
    if not signature.batched:
        return lambda inputs: ((), 1, nbytes(inputs), 1, 0)
    row_bytes = sum(math.prod(spec.shape[1:]) * spec.dtype.numpy.itemsize for spec in signature.inputs)
    return _equal_rows(names[0], row_bytes)


def _equal_rows(first: str, row_bytes: int) -> Measure:
    def measure(inputs: Mapping[str, Array]) -> Measured:
        rows = inputs[first].shape[0]
        return (), rows, rows * row_bytes, rows, 0

    return measure


def _varying(names: list[str], *, batched: bool) -> Measure:
    first = names[0]

    def measure(inputs: Mapping[str, Array]) -> Measured:
        size = nbytes(inputs)
        if not batched:
            return (), 1, size, max(size, 1), 0
        rows = inputs[first].shape[0]
        return tuple([inputs[name].shape[1:] for name in names]), rows, size, max(size, rows), 0

    return measure


def _ragged(names: list[str], ragged: Ragged) -> Measure:
    first = next(iter(ragged.inputs))
    axes = [(name, ragged.inputs.get(name, 0)) for name in names]

    def measure(inputs: Mapping[str, Array]) -> Measured:
        array = inputs[first]
        rows, length = array.shape[0], array.shape[ragged.inputs[first]]
        units = max(rows * length, 1)
        exact: list[tuple[int, ...]] = []
        for name, axis in axes:
            shape = inputs[name].shape
            if axis:
                if not length or shape[axis] != length:  # empty, or not one length: it meets only its like
                    return tuple([inputs[other].shape[1:] for other in names]), rows, nbytes(inputs), units, 0
                shape = (*shape[:axis], ANY, *shape[axis + 1 :])
            exact.append(shape[1:])
        return tuple(exact), rows, nbytes(inputs), units, length

    return measure
