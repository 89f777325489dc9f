# SPDX-License-Identifier: Apache-2.0
"""Calibration rows in a model's own names, datatypes and batch sizes."""

from __future__ import annotations

import numpy as np
import pytest

from converters.calibration import Calibration
from converters.interface import ConvertOptions
from converters.parity.testing import tensor
from converters.quantization.samples import RANGE_ROWS, calibration_of, refusing, samples
from core.errors import ErrorCode, ModelError
from core.tensors import DType, Signature, TensorSpec

UPLOADED = Signature(inputs=(tensor("ids", 4, dtype=DType.INT64),), outputs=(tensor("y"),))


def calibration(rows: int) -> Calibration:
    """So many rows of ids."""
    return Calibration(rows=rows, arrays={"ids": np.arange(rows * 4).reshape(rows, 4)}, labels=None)


def converted(rows: int) -> Signature:
    """The model after a conversion: renamed, narrowed, of a fixed batch or of any."""
    spec = TensorSpec(name="args_0", dtype=DType.INT32, shape=(rows, 4))
    return Signature(inputs=(spec,), outputs=(tensor("y"),))


def test_rows_are_renamed_narrowed_and_cut() -> None:
    """Whole executions only."""
    found = list(samples(calibration(10), UPLOADED, converted(4)))

    assert [each["args_0"].shape for each in found] == [(4, 4), (4, 4)]
    assert found[0]["args_0"].dtype == np.int32


def test_no_more_rows_than_ranges_need() -> None:
    """The first ones; the last are left to the comparison."""
    found = list(samples(calibration(RANGE_ROWS * 2), UPLOADED, converted(-1)))

    assert len(found) == RANGE_ROWS


def test_too_few_rows_are_refused() -> None:
    """One execution of eight needs eight."""
    with pytest.raises(ModelError) as caught:
        list(samples(calibration(3), UPLOADED, converted(8)))

    assert caught.value.code == ErrorCode.MODEL_INVALID


def test_static_ranges_need_calibration_data() -> None:
    """Refused with the reason before any work."""
    with pytest.raises(ModelError, match="needs calibration data"):
        calibration_of(ConvertOptions(), UPLOADED, step="onnx_to_int8")


def attention() -> None:
    """Fails as a library does, after some talk."""
    print("talk")
    raise KeyError("Attention")


def test_what_a_library_raises_becomes_a_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    """And what it prints does not reach stdout, where progress is told."""
    with pytest.raises(ModelError, match="KeyError"), refusing("onnx_to_int8"):
        attention()

    assert capsys.readouterr().out == ""


def test_a_lack_of_memory_stays_one() -> None:
    """The limit of the sandbox was hit; the model is not to blame."""
    with pytest.raises(MemoryError), refusing("onnx_to_int8"):
        raise MemoryError
