# SPDX-License-Identifier: Apache-2.0
"""What a manifest may declare about batches, and how a wrong declaration is refused."""

from __future__ import annotations

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from core.tensors import ANY, DType, Signature, TensorSpec
from runners.batching.options import BatchOptions, Ragged


def spec(name: str, *shape: int, dtype: DType = DType.INT64) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


TEXT = Signature(
    inputs=(
        spec("ids", ANY, ANY),
        spec("mask", ANY, ANY),
        spec("kind", ANY, 2),
        spec("words", ANY, ANY, dtype=DType.BYTES),
    ),
    outputs=(spec("hidden", ANY, ANY, 8, dtype=DType.FP32), spec("pooled", ANY, 8, dtype=DType.FP32)),
)
EIGHT = Signature(inputs=(spec("x", 8, 4),), outputs=(spec("y", 8),))
UNEVEN = Signature(inputs=(spec("x", 8, 4),), outputs=(spec("y", 1),))
DECLARED = {"batching.ragged": '{"ids": 1, "mask": 1}', "batching.ragged_mask": "mask"}


def test_nothing_is_assumed() -> None:
    """Without an entry nothing is padded, and a fixed first dimension is no batch."""
    assert BatchOptions.read({"owner": "nlp", "batches": "?"}, EIGHT) == BatchOptions()
    assert BatchOptions().served(EIGHT) is EIGHT


def test_a_fixed_batch() -> None:
    """The model's first dimension becomes the rows of every execution; callers see it as free."""
    options = BatchOptions.read({"batching.fixed": "true"}, EIGHT)
    assert (options.fixed, options.most) == (8, 8)
    assert options.served(EIGHT) == Signature(inputs=(spec("x", ANY, 4),), outputs=(spec("y", ANY),))
    assert BatchOptions.read({"batching.fixed": "false"}, EIGHT).fixed is None


def test_the_most_rows() -> None:
    """A model may bound its own executions."""
    assert BatchOptions.read({"batching.max_rows": "16"}, TEXT).most == 16


def test_ragged_axes() -> None:
    """Axes, pad values (0 by default, and always for the mask) and the outputs that are cut back."""
    options = BatchOptions.read(
        DECLARED | {"batching.ragged_pad": '{"ids": 1}', "batching.ragged_outputs": '{"hidden": 1}'}, TEXT
    )
    assert options.ragged == Ragged(inputs={"ids": 1, "mask": 1}, pads={"ids": 1, "mask": 0}, outputs={"hidden": 1})


@pytest.mark.parametrize(
    ("signature", "entries", "named"),
    [
        (TEXT, {"batching.size": "3"}, "batching.size"),
        (TEXT, {"batching.fixed": "true"}, "batching.fixed"),
        (UNEVEN, {"batching.fixed": "true"}, "batching.fixed"),
        (EIGHT, {"batching.fixed": "yes"}, "'yes'"),
        (EIGHT, {"batching.fixed": "true", "batching.max_rows": "4"}, "neither"),
        (TEXT, {"batching.max_rows": "0"}, "from 1"),
        (TEXT, {"batching.max_rows": "-4"}, "from 1"),
        (TEXT, {"batching.max_rows": "١"}, "from 1"),
        (TEXT, {"batching.max_rows": "9" * 5000}, "from 1"),
        (TEXT, {"batching.ragged_mask": "mask"}, "expected 'batching.ragged'"),
        (TEXT, DECLARED | {"batching.ragged": "["}, "JSON"),
        (TEXT, DECLARED | {"batching.ragged": "[" * 4000}, "JSON"),
        (TEXT, DECLARED | {"batching.ragged": '{"mask": "1"}'}, "JSON"),
        (TEXT, DECLARED | {"batching.ragged": "{}"}, "at least one"),
        (TEXT, DECLARED | {"batching.ragged": '{"mask": 1, "nothing": 1}'}, "'nothing'"),
        (TEXT, DECLARED | {"batching.ragged": '{"mask": 1, "ids": 0}'}, "axis 0"),
        (TEXT, DECLARED | {"batching.ragged": '{"mask": 1, "ids": 2}'}, "axis 2"),
        (TEXT, DECLARED | {"batching.ragged": '{"mask": 1, "kind": 1}'}, "axis 1 of 'kind'"),
        (TEXT, DECLARED | {"batching.ragged": '{"mask": 1, "words": 1}'}, "axis 1 of 'words'"),
        (TEXT, {"batching.ragged": '{"ids": 1}'}, "batching.ragged_mask"),
        (TEXT, DECLARED | {"batching.ragged_mask": "kind"}, "one of ids, mask"),
        (TEXT, DECLARED | {"batching.ragged_pad": '{"mask": 1}'}, "'mask'"),
        (TEXT, DECLARED | {"batching.ragged_pad": '{"kind": 1}'}, "'kind'"),
        (TEXT, DECLARED | {"batching.ragged_outputs": '{"pooled": 1}'}, "axis 1 of 'pooled'"),
        (EIGHT, {"batching.ragged": '{"x": 1}', "batching.ragged_mask": "x"}, "free dimension"),
    ],
)
def test_what_does_not_fit_is_refused(signature: Signature, entries: dict[str, str], named: str) -> None:
    """MODEL_003 says which entry, what it holds and what was expected."""
    with refused(ErrorCode.MODEL_INVALID, "metadata batching.", named):
        BatchOptions.read(entries, signature)
