# SPDX-License-Identifier: Apache-2.0
"""Targets as people write them."""

from __future__ import annotations

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from registry_api.conversions.values import parse_target


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("tflite-int8", "tflite-int8/cpu"),
        ("tflite", "tflite-fp32/cpu"),
        ("onnx-fp16/cuda", "onnx-fp16/cuda"),
        ("saved_model-fp32/cpu", "saved_model-fp32/cpu"),
        ("onnx-int8w16a/cpu", "onnx-int8w16a/cpu"),
    ],
)
def test_a_target_is_read(text: str, variant: str) -> None:
    """fp32 and cpu may be left out."""
    assert parse_target(text).variant == variant


@pytest.mark.parametrize("text", ["keras", "onnx-fp64", "coreml-fp16", "tflite-int8-x/cpu", ""])
def test_what_no_runner_loads_is_no_target(text: str) -> None:
    """Source formats, unknown formats and unknown precisions: VALID_002 with what there is."""
    with refused(ErrorCode.INVALID_FIELD, "tflite"):
        parse_target(text)
