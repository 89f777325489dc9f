# SPDX-License-Identifier: Apache-2.0
"""Which rows models are compared on."""

from __future__ import annotations

import numpy as np
import pytest

from converters.calibration import Calibration
from converters.parity.data import CALIBRATION_ROWS, RANDOM_ROWS, offered, vocabulary
from converters.parity.testing import tensor
from core.errors import ErrorCode, InvalidRequest
from core.tensors import DType, Signature

TEXT = Signature(
    inputs=(
        tensor("input_ids", -1, dtype=DType.INT64),
        tensor("attention_mask", -1, dtype=DType.INT64),
        tensor("token_type_ids", -1, dtype=DType.INT64),
    ),
    outputs=(tensor("embedding", 8),),
)


def test_ids_stay_within_the_declared_vocabulary() -> None:
    """Masks are ones and then zeros, segments are zero, ids below the size."""
    data = next(offered(TEXT, None, {"input_ids": 50}))
    ids, mask, segments = (data.arrays[spec.name] for spec in TEXT.inputs)

    assert ids.shape == (RANDOM_ROWS, 32)
    assert (ids.min() >= 0, ids.max() < 50, ids.max() > 1) == (True, True, True)
    assert mask[:, 0].all()
    assert (np.diff(mask, axis=1) <= 0).all()
    assert not segments.any()
    assert data.kinds["input_ids"] == "token of the declared vocabulary"


def test_without_a_vocabulary_ids_are_those_every_model_has() -> None:
    """0 and 1."""
    data = next(offered(TEXT, None))

    assert set(np.unique(data.arrays["input_ids"])) == {0, 1}


def test_the_same_signature_gives_the_same_rows() -> None:
    """Two comparisons do the same work."""
    first, second = (next(offered(TEXT, None)) for _ in range(2))

    assert all(np.array_equal(first.arrays[name], second.arrays[name]) for name in first.arrays)


def test_random_rows_stay_in_the_range_of_real_ones() -> None:
    """A model quantized for [0, 1] is not asked about 5."""
    signature = Signature(inputs=(tensor("image", 4),), outputs=(tensor("scores", 2),))
    image = np.random.default_rng(0).uniform(0, 1, (300, 4)).astype(np.float32)
    real = Calibration(rows=300, arrays={"image": image}, labels=np.arange(300))

    data = next(offered(signature, real))

    assert (data.calibration, data.random, data.rows) == (CALIBRATION_ROWS, RANDOM_ROWS, 288)
    assert np.array_equal(data.arrays["image"][:256], image[44:])
    assert data.labels is not None
    assert data.labels.tolist() == list(range(44, 300))
    assert data.arrays["image"].max() <= 1.0


def test_free_lengths_are_tried_in_turn() -> None:
    """Without calibration data the length of a free dimension is a guess: sentence, image, none."""
    lengths = [data.arrays["input_ids"].shape[1] for data in offered(TEXT, None)]

    assert lengths == [32, 224, 1]


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [(DType.BOOL, "boolean"), (DType.UINT8, "byte"), (DType.BYTES, "text"), (DType.FP16, "normal")],
)
def test_every_datatype_has_values(dtype: DType, kind: str) -> None:
    """Drawn in the input's own datatype."""
    signature = Signature(inputs=(tensor("x", 3, dtype=dtype),), outputs=(tensor("y"),))

    data = next(offered(signature, None))

    assert data.kinds["x"] == kind
    assert data.arrays["x"].dtype == dtype.numpy


def test_a_vocabulary_is_an_object_of_sizes() -> None:
    """Anything else is refused with the entry's name."""
    assert vocabulary({"parity.vocabulary": '{"ids": 10}'}) == {"ids": 10}
    assert vocabulary({}) == {}
    for text in ("[1]", '{"ids": 0}', "{", '{"ids": "many"}'):
        with pytest.raises(InvalidRequest) as caught:
            vocabulary({"parity.vocabulary": text})
        assert caught.value.code == ErrorCode.INVALID_FIELD
