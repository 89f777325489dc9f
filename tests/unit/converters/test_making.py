# SPDX-License-Identifier: Apache-2.0
"""A named route is held to its source and its target."""

from __future__ import annotations

import pytest

from converters.catalogue import recipe_named
from converters.making import check_chain
from core.errors import ErrorCode, InvalidRequest


def test_a_chain_that_leads_there_passes() -> None:
    """Each step reads what the one before writes, and the last one writes the target."""
    steps = [recipe_named(name) for name in ("keras_to_saved_model", "saved_model_to_onnx", "onnx_to_int8dyn")]
    check_chain(steps, "keras", "onnx", "int8dyn")
    check_chain(steps[:2], "keras", "onnx", "fp32")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("saved_model_to_onnx",), "reads saved_model, not keras"),
        (("keras_to_saved_model",), "ends at saved_model in fp32; the target is onnx in fp32"),
        ((), "ends at keras in fp32"),
    ],
)
def test_a_chain_that_does_not_is_refused(names: tuple[str, ...], reason: str) -> None:
    """The message names the recipe, or where the route ends."""
    with pytest.raises(InvalidRequest, match=reason) as caught:
        check_chain([recipe_named(name) for name in names], "keras", "onnx", "fp32")
    assert caught.value.code is ErrorCode.INVALID_FIELD
