# SPDX-License-Identifier: Apache-2.0
"""Calibration data: named arrays of real inputs, optionally with labels.

One file, ``calibration.npz`` or ``calibration.safetensors``. Each array is one input of the model; its first axis counts
rows, and every array has as many. For a model without a batch dimension it comes in front of the input's own. ``labels``, if
the model has no input of that name, holds one class per row.

The file comes from outside, so it is read with bounds and never unpickled: an ``.npy`` member is parsed here, header first,
because ``numpy.load`` allocates whatever a header claims. Quantization looks at the first rows and the comparison at the last
(:mod:`converters.parity.data`), so a set of twice as many keeps them apart.

Formats: NEP 1 (``.npy``, ``.npz``), https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
from numpy.lib import format as npy

from core.errors import ErrorCode, FuroshikiError, InvalidRequest, TensorError
from core.tensors import ANY, Array, DType, Shape, Signature, TensorSpec, dtype_from_numpy, fits

NAMES: Final = ("calibration.npz", "calibration.safetensors")
LABELS: Final = "labels"
MAX_BYTES: Final = 1 << 30  # of all arrays together, decoded
MAX_ARRAYS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Checked calibration data. ``labels`` is int64 [rows]; None: there are none."""

    rows: int
    arrays: Mapping[str, Array]
    labels: Array | None

    def part(self, start: int, stop: int) -> dict[str, Array]:
        """The rows from ``start`` to ``stop`` of every input, without copies."""
        return {name: array[start:stop] for name, array in self.arrays.items()}


def open_calibration(folder: Path, signature: Signature) -> Calibration:
    """Reads and checks the calibration data in a folder.

    Raises:
        InvalidRequest: ``VALID_002`` if there is not exactly one file of :data:`NAMES`; else as :func:`read_calibration`.
        TensorError: As :func:`check_calibration`.
    """
    found = [folder / name for name in NAMES if (folder / name).is_file()]
    if len(found) != 1:
        _invalid(f"The folder holds {len(found)} calibration files; expected one of {', '.join(NAMES)}.")
    return check_calibration(read_calibration(found[0].read_bytes(), name=found[0].name), signature)


def read_calibration(data: bytes, *, name: str) -> dict[str, Array]:
    """The arrays of a calibration file, whatever they are.

    Args:
        data: The untrusted file.
        name: Its name; the suffix says which format it has.

    Raises:
        InvalidRequest: ``VALID_001`` if it cannot be read, ``VALID_002`` on another suffix, ``VALID_003`` over a limit.
        TensorError: ``TENSOR_002`` if an array holds Python objects or has no datatype of the protocol.
    """
    if name.endswith(".npz"):
        arrays = dict(_members(data, name))
    elif name.endswith(".safetensors"):
        arrays = _safetensors(data, name)
    else:
        _invalid(f"Calibration file {name[:80]!r} is of no known format; expected one of {', '.join(NAMES)}.")
    for array in arrays.values():
        dtype_from_numpy(array.dtype)
    return arrays


def check_calibration(arrays: Mapping[str, Array], signature: Signature) -> Calibration:
    """Checks arrays against the inputs of a model.

    Raises:
        TensorError: ``TENSOR_003`` on a missing input, ``TENSOR_004`` on one too many, ``TENSOR_002`` on another datatype,
            ``TENSOR_001`` on another shape or number of rows, ``TENSOR_005`` on NaN or infinity.
        InvalidRequest: ``VALID_002`` if there is no row.
    """
    inputs = {spec.name: spec for spec in signature.inputs}
    given = dict(arrays)
    labels = None if LABELS in inputs else given.pop(LABELS, None)
    if missing := sorted(set(inputs) - set(given)):
        _wrong(ErrorCode.TENSOR_MISSING, f"It has no array for input {missing[0]!r}; expected {', '.join(inputs)}.")
    if unknown := sorted(set(given) - set(inputs)):
        _wrong(
            ErrorCode.TENSOR_UNEXPECTED, f"The model has no input {unknown[0][:80]!r}; expected {', '.join(inputs)}."
        )
    for name, spec in inputs.items():
        _check(spec, given[name], row_shape(spec, signature))
    rows = {len(array) for array in given.values()} | ({len(labels)} if labels is not None and labels.ndim else set())
    if len(rows) != 1:
        _wrong(ErrorCode.TENSOR_SHAPE, f"Its arrays have {sorted(rows)} rows; expected as many in each.")
    count = rows.pop()
    if not count:
        _invalid("The calibration data has no rows; expected at least one, and a hundred or more of real inputs.")
    return Calibration(rows=count, arrays=given, labels=None if labels is None else _checked_labels(labels))


def batch_of(signature: Signature) -> int | None:
    """Dimension 0 of every input, where all have the same: ANY, or a fixed size; None: inputs have no rows in common."""
    sizes = {spec.shape[0] if spec.shape else None for spec in signature.inputs}
    return sizes.pop() if len(sizes) == 1 else None


def row_shape(spec: TensorSpec, signature: Signature) -> Shape:
    """The shape of one row of an input: without its batch dimension, where it has one."""
    return spec.shape if batch_of(signature) is None else spec.shape[1:]


def _check(spec: TensorSpec, array: Array, row: Shape) -> None:
    if dtype_from_numpy(array.dtype) is not spec.dtype:
        _wrong(ErrorCode.TENSOR_DTYPE, f"Array {spec.name!r} is of {array.dtype}; expected {spec.dtype.numpy}.")
    if not array.ndim or not fits(array.shape[1:], row) or 0 in array.shape[1:]:
        wanted = ", ".join("any" if size == ANY else str(size) for size in row)
        _wrong(
            ErrorCode.TENSOR_SHAPE, f"Array {spec.name!r} has shape {list(array.shape)}; expected rows of [{wanted}]."
        )
    if array.dtype.kind == "f" or spec.dtype is DType.BF16:
        wrong = int(np.count_nonzero(~np.isfinite(array)))
        if wrong:
            _wrong(ErrorCode.TENSOR_DATA, f"Array {spec.name!r} holds {wrong} values that are NaN or infinite.")


def _checked_labels(labels: Array) -> Array:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        _wrong(
            ErrorCode.TENSOR_DTYPE,
            f"Labels are of {labels.dtype} with shape {list(labels.shape)}; expected one whole number per row.",
        )
    return labels.astype(np.int64)


def _members(data: bytes, name: str) -> Iterator[tuple[str, Array]]:
    """Arrays of an ``.npz``; what its members claim is checked before anything of that size is allocated."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _limit(sum(info.file_size for info in infos), len(infos))
            for info in infos:
                if not info.filename.endswith(".npy"):
                    _malformed(name, f"member {info.filename[:80]!r} is no .npy array")
                yield info.filename.removesuffix(".npy"), _npy(archive.read(info), info.filename)
    except FuroshikiError:
        raise
    except Exception as error:  # of a damaged archive zipfile and zlib raise whatever comes along
        _malformed(name, str(error))


def _npy(data: bytes, name: str) -> Array:
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=10_000)
    except Exception as error:  # the header is a Python literal
        _malformed(name, str(error))
    if dtype.hasobject:
        _wrong(ErrorCode.TENSOR_DTYPE, f"Array {name[:80]!r} holds Python objects, which are never unpickled.")
    body = memoryview(data)[stream.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(body) or not dtype.itemsize:
        _malformed(name, f"its header claims shape {list(shape)[:8]} of {dtype}, its data has {len(body)} bytes")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")


def _safetensors(data: bytes, name: str) -> dict[str, Array]:
    _limit(len(data), 0)
    try:
        from safetensors.numpy import load
    except ModuleNotFoundError:  # of all of a conversion, only this and factories need it
        _invalid(f"Calibration file {name[:80]!r} needs safetensors, which is not installed here; send {NAMES[0]}.")
    try:
        arrays: dict[str, Array] = load(data)
    except Exception as error:
        _malformed(name, str(error))
    _limit(0, len(arrays))
    return arrays


def _limit(size: int, count: int) -> None:
    if size > MAX_BYTES or count > MAX_ARRAYS:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE,
            f"The calibration data is {size} bytes in {count} arrays; at most {MAX_BYTES} in {MAX_ARRAYS}.",
        )


def _malformed(name: str, why: str) -> NoReturn:
    raise InvalidRequest(ErrorCode.MALFORMED, f"Calibration data {name[:80]!r} cannot be read: {why[:300]}.") from None


def _invalid(message: str) -> NoReturn:
    raise InvalidRequest(ErrorCode.INVALID_FIELD, message)


def _wrong(code: ErrorCode, message: str) -> NoReturn:
    raise TensorError(code, f"The calibration data does not fit the model. {message}")
