# SPDX-License-Identifier: Apache-2.0
"""Merging requests into one batch and splitting its result.

The law: ``split(merge(xs)) == xs``, element for element, for requests of one bucket, whatever padding lies between. A single
request that needs no padding is passed through without a copy; results of several are views of the batch's output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from core.errors import ErrorCode, OperatorError
from core.tensors import Array
from runners.batching.options import BatchOptions, Ragged

Tensors: TypeAlias = Mapping[str, Array]


class Assembler:
    """Merges and splits for one model.

    Args:
        options: What the model declares about its batches.
    """

    def __init__(self, options: BatchOptions) -> None:
        self._fixed = options.fixed
        self._ragged = options.ragged

    def merge(self, requests: Sequence[Tensors], lengths: Sequence[int] = ()) -> Tensors:
        """Stacks requests of one bucket along dimension 0, in order.

        Args:
            requests: Their inputs.
            lengths: The length of each one's ragged axis; empty or zeros if the bucket has none.
        """
        if self._fixed is not None:
            return {name: _filled([request[name] for request in requests], self._fixed) for name in requests[0]}
        if len(requests) == 1:
            return requests[0]
        stacked: dict[str, Array] = {}
        ragged = self._uneven(lengths)
        for name in requests[0]:
            parts = [request[name] for request in requests]
            if ragged is not None and name in ragged.inputs:
                stacked[name] = _padded(parts, ragged.inputs[name], max(lengths), ragged.pads[name])
            else:
                stacked[name] = np.concatenate(parts)
        return stacked

    def split(
        self, outputs: dict[str, Array], rows: Sequence[int], lengths: Sequence[int] = ()
    ) -> list[dict[str, Array]]:
        """Cuts a batch's outputs into one result per request.

        Args:
            outputs: The batch's outputs; dimension 0 of each is the batch.
            rows: Rows of each request, in the order they were merged.
            lengths: As given to :meth:`merge`.

        Raises:
            OperatorError: ``INFER_001`` if an output does not have one row per input row, or not the length of the batch on
                its ragged axis, since then no element can be attributed.
        """
        if len(rows) == 1 and self._fixed is None:
            return [outputs]
        expected = sum(rows) if self._fixed is None else self._fixed
        for name, array in outputs.items():
            if array.ndim == 0 or array.shape[0] != expected:
                raise _not_attributable(
                    name, array, f"a batch of {expected} rows; expected {expected} as the first dimension"
                )
        results: list[dict[str, Array]] = []
        start = 0
        for count in rows:
            end = start + count
            results.append({name: array[start:end] for name, array in outputs.items()})
            start = end
        ragged = self._uneven(lengths)
        if ragged is not None:
            _shorten(results, ragged, lengths)
        return results

    def _uneven(self, lengths: Sequence[int]) -> Ragged | None:
        """The ragged axes, if the requests differ in their length."""
        return self._ragged if lengths and min(lengths) < max(lengths) else None


def _filled(parts: list[Array], rows: int) -> Array:
    """``parts`` stacked, the last row repeated up to ``rows``."""
    missing = rows - sum([len(part) for part in parts])
    if not missing:
        return np.concatenate(parts) if len(parts) > 1 else parts[0]
    return np.concatenate([*parts, np.repeat(parts[-1][-1:], missing, axis=0)])


def _padded(parts: list[Array], axis: int, length: int, pad: float) -> Array:
    """``parts`` stacked, each lengthened to ``length`` along ``axis``."""
    shape = list(parts[0].shape)
    shape[0], shape[axis] = sum([len(part) for part in parts]), length
    stacked = np.full(shape, pad, dtype=parts[0].dtype)
    start = 0
    for part in parts:
        end = start + len(part)
        stacked[start:end][_up_to(axis, part.shape[axis])] = part
        start = end
    return stacked


def _shorten(results: list[dict[str, Array]], ragged: Ragged, lengths: Sequence[int]) -> None:
    longest = max(lengths)
    for name, axis in ragged.outputs.items():
        for result, length in zip(results, lengths, strict=True):
            array = result[name]
            if array.ndim <= axis or array.shape[axis] != longest:
                raise _not_attributable(name, array, f"inputs of length {longest}; expected that on axis {axis}")
            result[name] = array[_up_to(axis, length)]


def _up_to(axis: int, length: int) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, slice(length))


def _not_attributable(name: str, array: Array, expected: str) -> OperatorError:
    return OperatorError(ErrorCode.INFERENCE_FAILED, f"Output {name!r} has shape {list(array.shape)} for {expected}.")
