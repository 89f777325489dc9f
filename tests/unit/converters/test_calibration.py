# SPDX-License-Identifier: Apache-2.0
"""Calibration data: what is read, and what is refused with which code."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from converters import calibration as module
from converters.calibration import check_calibration, open_calibration, read_calibration
from converters.parity.testing import tensor
from core.errors import ErrorCode, FuroshikiError
from core.tensors import Array, DType, Signature, TensorSpec

IMAGES = Signature(inputs=(tensor("image", 4, 4, 1),), outputs=(tensor("scores", 10),))


def npz(**arrays: object) -> bytes:
    """An ``.npz`` file."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def images(rows: int = 3) -> Array:
    """Rows that fit."""
    return np.arange(rows * 16, dtype=np.float32).reshape(rows, 4, 4, 1)


def code_of(data: bytes, name: str = "calibration.npz", signature: Signature = IMAGES) -> ErrorCode:
    """The code with which it is refused."""
    with pytest.raises(FuroshikiError) as caught:
        check_calibration(read_calibration(data, name=name), signature)
    return caught.value.code


@pytest.mark.parametrize("name", ["calibration.npz", "calibration.safetensors"])
def test_both_formats_give_the_same_rows(tmp_path: Path, name: str) -> None:
    """Arrays and labels arrive as they were saved, from either format."""
    arrays = {"image": images(), "labels": np.array([1, 2, 3], dtype=np.int32)}
    (tmp_path / name).write_bytes(npz(**arrays) if name.endswith("npz") else save(arrays))

    found = open_calibration(tmp_path, IMAGES)

    assert found.rows == 3
    assert np.array_equal(found.arrays["image"], images())
    assert found.labels is not None
    assert found.labels.tolist() == [1, 2, 3]


def test_fortran_order_is_read() -> None:
    """An array saved column by column has the same values."""
    array = np.asfortranarray(images())

    assert np.array_equal(read_calibration(npz(image=array), name="a.npz")["image"], images())


def test_labels_belong_to_a_model_with_such_an_input() -> None:
    """A model that takes ``labels`` gets them as an input, and nothing is taken for classes."""
    signature = Signature(inputs=(tensor("labels", dtype=DType.INT64),), outputs=(tensor("loss"),))

    found = check_calibration({"labels": np.array([1, 2], dtype=np.int64)}, signature)

    assert found.labels is None
    assert list(found.arrays) == ["labels"]


def test_a_model_without_a_batch_has_rows_in_front() -> None:
    """Rows are counted by an axis in front of the input's own shape."""
    spec = TensorSpec(name="x", dtype=DType.FP32, shape=(4,))
    scale = TensorSpec(name="scale", dtype=DType.FP32, shape=())
    signature = Signature(inputs=(spec, scale), outputs=(spec,))

    found = check_calibration({"x": np.ones((5, 4), np.float32), "scale": np.ones(5, np.float32)}, signature)

    assert found.rows == 5


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({}, ErrorCode.TENSOR_MISSING),
        ({"image": images(), "mask": images()}, ErrorCode.TENSOR_UNEXPECTED),
        ({"image": images().astype(np.float64)}, ErrorCode.TENSOR_DTYPE),
        ({"image": images().reshape(3, 16)}, ErrorCode.TENSOR_SHAPE),
        ({"image": np.float32(1)}, ErrorCode.TENSOR_SHAPE),
        ({"image": images(), "labels": np.array([1, 2])}, ErrorCode.TENSOR_SHAPE),
        ({"image": images(), "labels": np.array([1.0, 2.0, 3.0])}, ErrorCode.TENSOR_DTYPE),
        ({"image": np.full_like(images(), np.nan)}, ErrorCode.TENSOR_DATA),
        ({"image": np.full_like(images(), np.inf)}, ErrorCode.TENSOR_DATA),
        ({"image": images(0)}, ErrorCode.INVALID_FIELD),
        ({"image": np.ones((3, 4, 4, 1), np.complex64)}, ErrorCode.TENSOR_DTYPE),
    ],
)
def test_what_does_not_fit_is_refused(arrays: dict[str, Array], code: ErrorCode) -> None:
    """Names, datatypes, shapes, NaN and emptiness each have their code."""
    assert code_of(npz(**arrays)) == code


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    """An object array is refused and its payload does not run."""
    payload = tmp_path / "payload"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(payload),)

    assert code_of(npz(image=np.array([Evil()], dtype=object))) == ErrorCode.TENSOR_DTYPE
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("image.pkl", pickle.dumps(1))
    assert code_of(file.getvalue()) == ErrorCode.MALFORMED
    assert not payload.exists()


def test_a_header_that_claims_more_than_there_is_is_refused() -> None:
    """Nothing of the claimed size is allocated."""
    file = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 4, 4, 1)})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("image.npy", header.getvalue() + b"\0" * 64)

    assert code_of(file.getvalue()) == ErrorCode.MALFORMED


def test_a_zip_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes that the archive declares are added up first."""
    monkeypatch.setattr(module, "MAX_BYTES", 100_000)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", b"\0" * 10_000_000)

    assert code_of(file.getvalue()) == ErrorCode.TOO_LARGE


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not an archive", npz(image=images())[:200]])
@pytest.mark.parametrize("name", ["calibration.npz", "calibration.safetensors"])
def test_damaged_files_are_refused(data: bytes, name: str) -> None:
    """Bytes that are no such file give VALID_001."""
    assert code_of(data, name) == ErrorCode.MALFORMED


def test_a_folder_has_exactly_one_file(tmp_path: Path) -> None:
    """Neither none nor both."""
    with pytest.raises(FuroshikiError) as none:
        open_calibration(tmp_path, IMAGES)
    for name in module.NAMES:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(FuroshikiError) as both:
        open_calibration(tmp_path, IMAGES)

    assert (none.value.code, both.value.code) == (ErrorCode.INVALID_FIELD, ErrorCode.INVALID_FIELD)
    assert code_of(b"", "calibration.pkl") == ErrorCode.INVALID_FIELD
