# SPDX-License-Identifier: Apache-2.0
"""Which precision is advised, and why."""

from __future__ import annotations

import pytest

from converters.quantization.advice import ModelKind, advise, classify
from converters.quantization.catalogue import CALIBRATED, QUANTIZE


@pytest.mark.parametrize(
    ("operations", "kind"),
    [
        ({"Conv": 20, "Gemm": 1, "Relu": 20}, ModelKind.CONVOLUTIONAL),
        ({"CONV_2D": 10, "DEPTHWISE_CONV_2D": 10, "SOFTMAX": 1, "FULLY_CONNECTED": 1}, ModelKind.CONVOLUTIONAL),
        ({"MatMul": 48, "Softmax": 6, "LayerNormalization": 13}, ModelKind.TRANSFORMER),
        ({"Conv": 1, "MatMul": 48, "Softmax": 12, "LayerNormalization": 25}, ModelKind.TRANSFORMER),
        ({"FULLY_CONNECTED": 3, "SOFTMAX": 1}, ModelKind.DENSE),
        ({"LSTM": 2, "MatMul": 1}, ModelKind.RECURRENT),
        ({"TreeEnsembleClassifier": 1}, ModelKind.OTHER),
    ],
)
def test_the_operations_tell_the_kind(operations: dict[str, int], kind: ModelKind) -> None:
    """A patch convolution does not make a transformer a convolutional network."""
    assert classify(operations) is kind


def test_convolutions_get_static_and_transformers_dynamic_int8() -> None:
    """Each with its reason."""
    conv = advise(ModelKind.CONVOLUTIONAL, "onnx", calibrated=True)
    transformer = advise(ModelKind.TRANSFORMER, "onnx", calibrated=True)

    assert (conv.precision, transformer.precision) == ("int8", "int8dyn")
    assert "slower than float" in conv.reason
    assert "outliers" in transformer.reason


@pytest.mark.parametrize("kind", list(ModelKind))
@pytest.mark.parametrize("model_format", ["onnx", "tflite"])
def test_nothing_is_advised_that_cannot_be_made(kind: ModelKind, model_format: str) -> None:
    """Without calibration data no static ranges; and every advised precision has a recipe."""
    makeable = {each.precision for each in QUANTIZE if each.target == model_format}
    for calibrated in (True, False):
        found = advise(kind, model_format, calibrated=calibrated)
        assert set(found.sensible) <= makeable
        assert found.precision == found.sensible[0]
        assert calibrated or not set(found.sensible) & CALIBRATED


def test_what_calibration_data_would_give_is_said() -> None:
    """The reason names what cannot be made without it."""
    assert (
        "Without calibration data int8 cannot be made"
        in advise(ModelKind.CONVOLUTIONAL, "onnx", calibrated=False).reason
    )
