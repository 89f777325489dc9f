# SPDX-License-Identifier: Apache-2.0
"""The comparison of two models that are plain functions."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import rfc8785

from converters.calibration import Calibration
from converters.parity.compare import Side, compare
from converters.parity.data import Data
from converters.parity.gate import data_for, judge
from converters.parity.report import Report
from converters.parity.testing import FunctionModel, encoded, tensor
from converters.parity.thresholds import thresholds_for
from core.clock import ManualClock
from core.errors import ErrorCode, ModelError
from core.tensors import Array, DType, Signature, TensorSpec

WEIGHTS = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
SIGNATURE = Signature(inputs=(tensor("x", 4),), outputs=(tensor("scores", 3),))


def linear(x: Array) -> Array:
    """The source model."""
    scores: Array = x @ WEIGHTS
    return scores


def fails(x: Array) -> Array:
    """A model that cannot be run."""
    raise RuntimeError("unsupported operation")


def side(model: FunctionModel, variant: str = "onnx-fp32/cpu", size: int = 100) -> Side:
    """A loaded variant."""
    return Side(variant=variant, model=model, bytes=size)


def calibration(rows: int = 40) -> Calibration:
    """Labelled rows; the labels are what the source says."""
    x = np.random.default_rng(1).standard_normal((rows, 4)).astype(np.float32)
    return Calibration(rows=rows, arrays={"x": x}, labels=linear(x).argmax(axis=1))


def compared(
    candidate: FunctionModel, *, precision: str = "fp32", real: Calibration | None = None, data: Data | None = None
) -> Report:
    """The report of a candidate against the linear model."""
    source = FunctionModel(SIGNATURE, linear)
    return compare(
        side(source),
        side(candidate, f"tflite-{precision}/cpu", 25),
        data or data_for(source, real),
        thresholds_for(precision),
        clock=TickingClock(),
    )


class TickingClock(ManualClock):
    """A clock on which every look takes a millisecond."""

    def monotonic(self) -> float:
        self.advance(0.001)
        return super().monotonic()


def test_the_same_model_is_accepted_without_error() -> None:
    """Everything is measured: errors, cosine, agreement, accuracy, sizes and latency at batch 1 and N."""
    report = compared(FunctionModel(SIGNATURE, linear), real=calibration())

    assert (report.verdict, report.reasons, report.max_abs) == ("accepted", (), 0.0)
    assert report.cosine == pytest.approx(1.0)
    assert report.top1_agreement == 1.0
    assert report.metric is not None
    assert (report.metric.source, report.metric.value, report.metric.rows) == (1.0, 1.0, 40)
    assert (report.inputs.calibration, report.inputs.random, report.inputs.batches) == (40, 32, (1, 8))
    assert [each.ms > 0 for each in report.latency] == [True, True]
    assert report.ratio == 4.0
    assert report.clipped is None
    assert msgspec.json.decode(encoded(report), type=Report) == report
    assert rfc8785.dumps(msgspec.to_builtins(report))


def test_another_model_is_rejected_with_numbers() -> None:
    """Each broken bound is one sentence with the number and the bound."""
    report = compared(FunctionModel(SIGNATURE, lambda x: -linear(x)), real=calibration())

    assert report.verdict == "rejected"
    text = " ".join(report.reasons)
    assert "cosine of at least 0.99999, got -1" in text
    assert "agreement of at least 0.99" in text
    assert "Accuracy fell from 1 to" in text


def test_without_labels_the_largest_value_is_reported_but_not_judged() -> None:
    """An embedding has a largest value too, which means nothing."""
    real = Calibration(rows=40, arrays=calibration().arrays, labels=None)
    shifted = FunctionModel(SIGNATURE, lambda x: linear(x) + np.array([0.02, 0, 0], np.float32))

    report = compared(shifted, precision="int8", real=real)

    assert report.top1_agreement is not None
    assert report.metric is None
    assert report.accepted


def test_nan_is_rejected_and_counted() -> None:
    """A value that is not a number where the source has one rejects the candidate, and the report stays finite."""
    report = compared(FunctionModel(SIGNATURE, lambda x: np.where(x[:, :1] > 0, np.nan, linear(x))))

    assert report.verdict == "rejected"
    assert report.non_finite > 0
    assert "NaN" in report.reasons[0]
    assert rfc8785.dumps(msgspec.to_builtins(report))


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (FunctionModel(SIGNATURE, fails), "unsupported operation"),
        (FunctionModel(SIGNATURE, lambda x: linear(x)[:, :2]), "has shape"),
        (FunctionModel(Signature(inputs=(tensor("x", 5),), outputs=SIGNATURE.outputs), linear), "Input 'x' is [-1, 5]"),
        (FunctionModel(Signature(inputs=SIGNATURE.inputs, outputs=()), linear), "It has 0 outputs"),
    ],
)
def test_a_candidate_that_cannot_be_run_is_rejected(candidate: FunctionModel, reason: str) -> None:
    """Not an error: the report says why, with nothing measured."""
    report = compared(candidate)

    assert report.verdict == "rejected"
    assert reason in report.reasons[0]
    assert report.outputs == ()


def test_a_source_that_cannot_be_run_is_an_error() -> None:
    """Nothing is learned about any candidate then."""
    broken = FunctionModel(SIGNATURE, fails)

    with pytest.raises(ModelError) as caught:
        data_for(broken, None)

    assert caught.value.code == ErrorCode.MODEL_INVALID
    assert "unsupported operation" in caught.value.message


def test_a_candidate_of_fixed_sizes_is_run_with_those() -> None:
    """Rows are cut into its batches, and the report says that the source took any number."""
    fixed = FunctionModel(SIGNATURE, linear, sizes=(2, 4))

    report = compared(fixed)

    assert report.accepted
    assert {shape[0] for shape in fixed.seen} == {2, 4}
    assert report.inputs.batches == (2, 4)
    assert "this takes: 2, 4" in " ".join(report.notes)


def test_clipping_of_quantized_tensors_is_counted() -> None:
    """Values of the source outside a quantized output's range are those that were cut off."""
    narrow = FunctionModel(SIGNATURE, lambda x: np.clip(linear(x), -1, 1), ranges={"scores": (-1.0, 1.0)})

    report = compared(narrow, precision="int8")

    assert report.clipped is not None
    assert report.clipped > 0


def test_int64_ids_become_int32_and_are_noted() -> None:
    """The candidate gets the datatype it declares; the change is in the notes."""
    ids = Signature(inputs=(tensor("ids", 4, dtype=DType.INT64),), outputs=SIGNATURE.outputs)
    narrow = Signature(inputs=(tensor("args_0", 4, dtype=DType.INT32),), outputs=SIGNATURE.outputs)
    source = FunctionModel(ids, lambda x: linear(x.astype(np.float32)))

    def checked(x: Array) -> Array:
        assert x.dtype == np.int32
        return linear(x.astype(np.float32))

    report = compare(side(source), side(FunctionModel(narrow, checked)), data_for(source, None), thresholds_for("fp32"))

    assert report.accepted
    assert any("INT64 to INT32" in note for note in report.notes)


def test_strings_are_compared_for_equality() -> None:
    """Labels of a classifier agree or not; errors are not defined for them."""
    spec = TensorSpec(name="label", dtype=DType.BYTES, shape=(-1,))
    signature = Signature(inputs=SIGNATURE.inputs, outputs=(spec,))
    words = np.array([b"a", b"b", b"c"], dtype=object)
    source = FunctionModel(signature, lambda x: words[linear(x).argmax(axis=1)])
    wrong = FunctionModel(signature, lambda x: words[(linear(x).argmax(axis=1) + 1) % 3])
    data = data_for(source, None)

    same = compare(side(source), side(source), data, thresholds_for("fp32"))
    other = compare(side(source), side(wrong), data, thresholds_for("fp32"))

    assert same.accepted
    assert (other.verdict, other.top1_agreement) == ("rejected", 0.0)


def test_a_folder_without_a_model_is_rejected(tmp_path: Path) -> None:
    """What cannot be loaded is a result with the runtime's reason."""
    source = FunctionModel(SIGNATURE, linear)
    (tmp_path / "model.onnx").write_bytes(b"no model")

    report = judge(
        side(source),
        tmp_path,
        "onnx-fp32/cpu",
        signature=None,
        data=data_for(source, None),
        thresholds=thresholds_for("fp32"),
    )

    assert report.verdict == "rejected"
    assert "onnxruntime refuses the model" in report.reasons[0]
    assert report.bytes == 8
