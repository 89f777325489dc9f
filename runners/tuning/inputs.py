# SPDX-License-Identifier: Apache-2.0
"""Inputs to measure with, made from nothing but a signature.

Floats are standard normal. Integers are all 1: a token, a mask and a segment that every model knows. The values are the
same each time, so that two measurements do the same work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from core.tensors import ANY, Array, DType, Shape, Signature, TensorSpec
from runners.batching.options import BatchOptions

_FLOATS: Final = frozenset({DType.FP16, DType.BF16, DType.FP32, DType.FP64})
_FREE: Final = (1, 32, 224)  # sizes tried for dimensions of any size: none, a sentence, an image
_RAGGED: Final = 32  # the usual length of an axis whose length differs from request to request
_SEED: Final = 20260101


def candidates(signature: Signature, batching: BatchOptions) -> Iterator[tuple[TensorSpec, ...]]:
    """The inputs with their free dimensions filled in, but the batch; the likeliest first.

    Args:
        signature: Of the loaded model.
        batching: What the model declares about its batches.
    """
    ragged = {} if batching.ragged is None else dict(batching.ragged.inputs)
    seen: set[tuple[Shape, ...]] = set()
    for free in _FREE:
        specs = tuple(
            _filled(spec, free, ragged.get(spec.name), batched=signature.batched) for spec in signature.inputs
        )
        shapes = tuple(spec.shape for spec in specs)
        if shapes not in seen:
            seen.add(shapes)
            yield specs


def make_inputs(specs: tuple[TensorSpec, ...], rows: int) -> dict[str, Array]:
    """One batch of ``rows`` rows.

    Args:
        specs: Of :func:`candidates`; a first dimension of any size becomes ``rows``.
        rows: Rows of the batch.
    """
    return {
        spec.name: _values(spec.dtype, tuple(rows if size == ANY else size for size in spec.shape)) for spec in specs
    }


def _filled(spec: TensorSpec, free: int, ragged_axis: int | None, *, batched: bool) -> TensorSpec:
    sizes = [free if size == ANY else size for size in spec.shape]
    if batched:
        sizes[0] = ANY
    if ragged_axis is not None:
        sizes[ragged_axis] = _RAGGED
    return TensorSpec(name=spec.name, dtype=spec.dtype, shape=tuple(sizes))


def _values(dtype: DType, shape: Shape) -> Array:
    if dtype in _FLOATS:
        return np.random.default_rng(_SEED).standard_normal(shape).astype(dtype.numpy)
    if dtype is DType.BYTES:
        return np.full(shape, b"furoshiki", dtype=object)
    return np.ones(shape, dtype=dtype.numpy)
