# SPDX-License-Identifier: Apache-2.0
"""The measures of a report as pure functions of two arrays.

Laws, tested as such: an array compared with itself has no error, cosine 1 and agreement 1; errors and agreement do not change
when the two are exchanged; cosine does not change when either is scaled by a positive number; every result is finite
whatever the input.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from converters.parity.interface import Range
from converters.parity.report import Histogram
from core.tensors import Array

_EDGES: Final = tuple(float(power) for power in range(-10, 4))
_CLIP_SLACK: Final = 1 / 510  # of the range: half a step of 8 bits, within which rounding and not clipping decides


def errors(source: Array, candidate: Array) -> Array:
    """Absolute differences as float64, flat; only of values that are finite in both."""
    a, b = _flat(source), _flat(candidate)
    both = np.isfinite(a) & np.isfinite(b)
    differences: Array = np.abs(a[both] - b[both])
    return differences


def non_finite(source: Array, candidate: Array) -> int:
    """Values that are NaN or infinite in the candidate where the source is finite."""
    return int(np.count_nonzero(np.isfinite(_flat(source)) & ~np.isfinite(_flat(candidate))))


def relative(error: float, scale: float) -> float:
    """An error as a share of what it is an error of; the error itself where that is zero."""
    ratio = error / scale if scale > 0 else error
    return float(min(ratio, np.finfo(np.float64).max))


def scale(source: Array) -> tuple[float, float]:
    """The largest and the mean absolute value, of those that are finite."""
    values = np.abs(_flat(source))
    values = values[np.isfinite(values)]
    return (float(values.max()), float(values.mean())) if values.size else (0.0, 0.0)


def cosine(source: Array, candidate: Array) -> float:
    """Mean over rows (axis 0) of the cosine between the rows, in [-1, 1].

    Two rows of zeros are alike (1), a row of zeros and another are not (0). Rows are divided by their largest value before
    anything is squared, so that neither tiny nor huge values are lost.
    """
    a, b = _rows(source), _rows(candidate)
    if not a.size:
        return 1.0
    a, b = _unit(a), _unit(b)
    zero_a, zero_b = ~a.any(axis=1), ~b.any(axis=1)
    product = np.einsum("ij,ij->i", a, b)
    product = np.where(zero_a & zero_b, 1.0, np.where(zero_a | zero_b, 0.0, product))
    return float(np.clip(product.mean(), -1.0, 1.0))


def has_classes(array: Array) -> bool:
    """Whether it can be scores of classes: floats [rows, classes] with at least two classes."""
    return array.ndim == 2 and array.shape[1] >= 2 and not is_discrete(array)


def is_discrete(array: Array) -> bool:
    """Whether its values are equal or not, and nothing between: integers, booleans, strings."""
    return array.dtype.kind in "iubOSU"


def classes(array: Array) -> Array:
    """The largest class of each row; of discrete outputs the values themselves."""
    return array.argmax(axis=1) if has_classes(array) else array


def agreement(source: Array, candidate: Array) -> float:
    """Share of rows with the same class, or with all values equal for discrete outputs."""
    a, b = classes(source), classes(candidate)
    if not len(a):
        return 1.0
    return float(np.mean(np.all((a == b).reshape(len(a), -1), axis=1)))


def accuracy(scores: Array, labels: Array) -> float:
    """Share of rows whose class is the label."""
    found = classes(scores).reshape(len(labels), -1)[:, 0]
    return float(np.mean(found == labels)) if len(labels) else 1.0


def clipped(values: Array, limits: Range) -> int:
    """Values outside what a quantized tensor can represent."""
    low, high = limits
    slack = (high - low) * _CLIP_SLACK
    flat = _flat(values)
    return int(np.count_nonzero((flat < low - slack) | (flat > high + slack)))


def histogram(differences: Array) -> Histogram:
    """Errors by order of magnitude; what is outside the edges is counted in the first or the last bin."""
    some = differences[differences > 0]
    logs = np.clip(np.log10(some), _EDGES[0], np.nextafter(_EDGES[-1], 0))
    counts, _ = np.histogram(logs, bins=np.asarray(_EDGES))
    return Histogram(
        edges=_EDGES, counts=tuple(int(count) for count in counts), zeros=int(differences.size - some.size)
    )


def _flat(array: Array) -> Array:
    return np.asarray(array).astype(np.float64).ravel()


def _rows(array: Array) -> Array:
    rows = np.nan_to_num(np.asarray(array).astype(np.float64), nan=0.0)
    return rows.reshape(len(rows), -1) if rows.ndim else rows.reshape(1, 1)


def _unit(rows: Array) -> Array:
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scaled = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0)
    norm = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    unit: Array = np.divide(scaled, norm, out=np.zeros_like(rows), where=norm > 0)
    return unit
