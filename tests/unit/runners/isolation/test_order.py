# SPDX-License-Identifier: Apache-2.0
"""What crosses to the process of a model and back arrives as it was sent."""

from __future__ import annotations

import msgspec
import pytest

from core.errors import ErrorCode, ModelError
from runners.interface import RunnerOptions
from runners.isolation.order import LOADED, Order, decode_order, encode_order, refusal, reported
from runners.remote.limits import WireLimits

ORDER = Order(
    manifest=b"{}",
    digest="sha256:" + "ab" * 32,
    key_id="cd" * 32,
    index=[("model.onnx", 3), ("assets/labels.txt", 0)],
    options=RunnerOptions(threads=2, instances=3, entry="twice"),
    wire=WireLimits(in_flight=5),
    inline_below_s=0.001,
    memory_bytes=None,
    confined=True,
    log_level="ERROR",
    log_style="json",
)


def test_an_order_arrives() -> None:
    """Every field has the value and type it was sent with."""
    assert decode_order(encode_order(ORDER)) == ORDER


def test_an_error_arrives() -> None:
    """Class, code and message of what a process could not load its model for."""
    error = reported(refusal(ModelError(ErrorCode.MODEL_INVALID, "No model.")))
    assert isinstance(error, ModelError)
    assert (error.code, error.message) == (ErrorCode.MODEL_INVALID, "No model.")


def test_success_arrives() -> None:
    """A loaded model is reported without an error."""
    assert reported(LOADED) is None


@pytest.mark.parametrize("report", [b"", LOADED + b"x", b"\xff", b"\x93"])
def test_what_is_no_report_is_told(report: bytes) -> None:
    """Nothing at all, as of a process that died, or something else, is never taken for success."""
    with pytest.raises(msgspec.DecodeError):
        reported(report)
