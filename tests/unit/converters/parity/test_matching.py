# SPDX-License-Identifier: Apache-2.0
"""Which tensor of a candidate is which of the source."""

from __future__ import annotations

import numpy as np
import pytest

from converters.parity.matching import cast, match
from converters.parity.testing import tensor
from core.errors import ErrorCode, ModelError, TensorError
from core.tensors import DType

IDS, MASK = tensor("ids", 8, dtype=DType.INT64), tensor("mask", 8)


def test_names_decide_whatever_the_order() -> None:
    """Equal names in another order are the same tensors."""
    assert match((IDS, MASK), (MASK, IDS), what="input") == {"ids": "ids", "mask": "mask"}


def test_what_exporters_add_to_names_is_left_out() -> None:
    """TensorFlow's prefix and port do not hide a name."""
    given = (tensor("serving_default_mask:0", 8), tensor("serving_default_ids:0", 8))

    assert match((IDS, MASK), given, what="input") == {
        "ids": "serving_default_ids:0",
        "mask": "serving_default_mask:0",
    }


def test_shapes_decide_where_names_do_not() -> None:
    """Datatype and shape first, then shape alone, then order."""
    given = (tensor("args_1", 8), tensor("args_0", 8, dtype=DType.INT32))

    assert match((IDS, MASK), given, what="input") == {"mask": "args_1", "ids": "args_0"}


def test_a_tensor_without_counterpart_is_refused() -> None:
    """The message names what there is."""
    with pytest.raises(ModelError) as caught:
        match((IDS,), (tensor("args_0", 9),), what="input")

    assert caught.value.code == ErrorCode.MODEL_INVALID
    assert "args_0 [-1, 9]" in caught.value.message


def test_an_id_that_does_not_fit_is_refused() -> None:
    """No id is cut silently to 32 bits."""
    narrow = tensor("ids", dtype=DType.INT32)

    assert cast(np.array([7], dtype=np.int64), narrow).dtype == np.int32
    with pytest.raises(TensorError) as caught:
        cast(np.array([1 << 40], dtype=np.int64), narrow)
    assert caught.value.code == ErrorCode.TENSOR_DATA
