# SPDX-License-Identifier: Apache-2.0
"""What the names of files say before anything is sent."""

from __future__ import annotations

import pytest

from artifacts import formats
from furoshiki.errors import InvalidRequest
from furoshiki.sources import PICKLES, infer_format


def test_a_pickle_is_refused_before_it_is_sent() -> None:
    """With what to do instead; the registry refuses the same names."""
    with pytest.raises(InvalidRequest, match="'deep/model.PKL' is a pickle") as caught:
        infer_format(["model.onnx", "deep/model.PKL"])
    assert caught.value.code == "MODEL_003"
    assert formats.PICKLES == PICKLES


def test_no_format_and_several_are_told_how_to_name_one() -> None:
    """In Python and on the command line."""
    for files in (["rows.npy"], ["a.onnx", "b.tflite"]):
        with pytest.raises(InvalidRequest, match="format='onnx', or --format onnx"):
            infer_format(files)
    assert infer_format(["labels.txt", "digits.onnx"]) == "onnx"
