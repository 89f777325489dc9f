# SPDX-License-Identifier: Apache-2.0
"""What both models are run on: the last rows of the calibration data, and seeded random rows.

Random values are drawn by datatype, name and what is known: inside the range of the calibration data where there is one,
since a quantized model is made for that range; else floats are standard normal. Integers are token ids below the declared
size of the vocabulary, or below the largest that the calibration data has; masks are a run of ones and then zeros; segments
are zero. The size of a vocabulary is declared in the manifest's metadata: ``parity.vocabulary`` is a JSON object from input
to size, such as ``{"input_ids": 30522}``. Without it ids are 0 or 1, which every model has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from converters.calibration import Calibration, row_shape
from core.errors import ErrorCode, InvalidRequest
from core.tensors import ANY, Array, DType, Shape, Signature, TensorSpec

SEED: Final = 20260101
CALIBRATION_ROWS: Final = 256
RANDOM_ROWS: Final = 32
FREE_SIZES: Final = (32, 224, 1)  # tried for dimensions of any size: a sentence, an image, none
VOCABULARY: Final = "parity.vocabulary"

_FLOATS: Final = frozenset({DType.FP16, DType.BF16, DType.FP32, DType.FP64})
_SIZES: Final = msgspec.json.Decoder(dict[str, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Rows to compare on: calibration first, then random ones."""

    arrays: Mapping[str, Array]  # by the source's names; axis 0 counts rows
    labels: Array | None  # of the calibration rows; None: there are none
    calibration: int  # rows
    random: int  # rows
    kinds: Mapping[str, str]  # how each input's random values were drawn

    @property
    def rows(self) -> int:
        """All rows."""
        return self.calibration + self.random


def vocabulary(metadata: Mapping[str, str]) -> dict[str, int]:
    """The vocabulary sizes that a manifest declares.

    Raises:
        InvalidRequest: ``VALID_002`` if the entry is not an object of sizes from 1.
    """
    text = metadata.get(VOCABULARY, "{}")
    try:
        sizes = _SIZES.decode(text)
    except (ValueError, RecursionError):
        sizes = {"": 0}
    if not all(size > 0 for size in sizes.values()):
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD, f"Metadata {VOCABULARY!r} is {text[:80]!r}; expected an object of sizes from 1."
        )
    return sizes


def offered(
    signature: Signature, calibration: Calibration | None, sizes: Mapping[str, int] | None = None
) -> Iterator[Data]:
    """Data for a model, the likeliest first: without calibration data the length of free dimensions is a guess.

    Args:
        signature: Of the source.
        calibration: Checked against it; None: there is none.
        sizes: Vocabulary sizes by input.
    """
    kept = None if calibration is None else _last(calibration)
    for free in FREE_SIZES if kept is None else (0,):
        yield _data(signature, kept, sizes or {}, free)


def _last(calibration: Calibration) -> Calibration:
    start = max(0, calibration.rows - CALIBRATION_ROWS)
    return Calibration(
        rows=calibration.rows - start,
        arrays=calibration.part(start, calibration.rows),
        labels=None if calibration.labels is None else calibration.labels[start:],
    )


def _data(signature: Signature, calibration: Calibration | None, sizes: Mapping[str, int], free: int) -> Data:
    random = np.random.default_rng(SEED)
    arrays: dict[str, Array] = {}
    kinds: dict[str, str] = {}
    for spec in signature.inputs:
        real = None if calibration is None else calibration.arrays[spec.name]
        tail = row_shape(spec, signature) if real is None else real.shape[1:]
        shape = (RANDOM_ROWS, *(free if size == ANY else size for size in tail))
        kinds[spec.name], drawn = _drawn(random, spec, shape, real, sizes.get(spec.name))
        arrays[spec.name] = drawn if real is None else np.concatenate([real, drawn])
    return Data(
        arrays=arrays,
        labels=None if calibration is None else calibration.labels,
        calibration=0 if calibration is None else calibration.rows,
        random=RANDOM_ROWS,
        kinds=kinds,
    )


def _drawn(
    random: np.random.Generator, spec: TensorSpec, shape: Shape, real: Array | None, size: int | None
) -> tuple[str, Array]:
    if spec.dtype is DType.BYTES:
        return "text", np.full(shape, b"furoshiki", dtype=object)
    if spec.dtype in _FLOATS:
        return _floats(random, spec, shape, real)
    name = spec.name.lower()
    if "mask" in name:
        return "mask", _mask(random, shape).astype(spec.dtype.numpy)
    if "segment" in name or "token_type" in name:
        return "segment", np.zeros(shape, dtype=spec.dtype.numpy)
    if spec.dtype is DType.BOOL:
        return "boolean", random.integers(0, 2, shape).astype(np.bool_)
    return _integers(random, spec, shape, real, size)


def _floats(random: np.random.Generator, spec: TensorSpec, shape: Shape, real: Array | None) -> tuple[str, Array]:
    if real is None:
        return "normal", random.standard_normal(shape).astype(spec.dtype.numpy)
    low, high = float(real.min()), float(real.max())
    return "uniform in the calibration's range", random.uniform(low, high, shape).astype(spec.dtype.numpy)


def _integers(
    random: np.random.Generator, spec: TensorSpec, shape: Shape, real: Array | None, size: int | None
) -> tuple[str, Array]:
    if size is not None:
        kind, low, high = "token of the declared vocabulary", 0, size
    elif real is not None:
        kind, low, high = "integer in the calibration's range", int(real.min()), int(real.max()) + 1
    elif spec.dtype is DType.UINT8:
        kind, low, high = "byte", 0, 256
    else:
        kind, low, high = "0 or 1", 0, 2
    return kind, random.integers(low, high, shape).astype(spec.dtype.numpy)


def _mask(random: np.random.Generator, shape: Shape) -> Array:
    """Ones, at least one, then zeros along the last axis."""
    if len(shape) < 2:
        return np.ones(shape, dtype=np.int64)
    length = random.integers(1, shape[-1] + 1, shape[:-1])
    return (np.arange(shape[-1]) < length[..., None]).astype(np.int64)
