# SPDX-License-Identifier: Apache-2.0
"""The demo's classifiers: trained on real data, good enough, and the same in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.tensors import ANY, DType, TensorSpec
from deploy.local.train import Trained, train_digits, train_wine
from runners.backends.onnx.backend import OnnxBackend
from runners.interface import RunnerOptions


@pytest.mark.parametrize(
    ("train", "rows", "columns", "floor"), [(train_digits, 360, 64, 0.95), (train_wine, 36, 13, 0.9)]
)
def test_onnx_predicts_what_scikit_learn_predicts(
    tmp_path: Path, train: Callable[[Path], Trained], rows: int, columns: int, floor: float
) -> None:
    """On the held-out rows the classifier reaches its floor, and ONNX gives its labels, row by row and in one batch."""
    trained = train(tmp_path)
    case = trained.case()
    runner = OnnxBackend().load({case.file.name: case.file.read_bytes()}, options=RunnerOptions())
    assert runner.signature.inputs == (TensorSpec(name="X", dtype=DType.FP32, shape=(ANY, columns)),)
    assert runner.signature.batched
    alone = np.concatenate([runner.run(inputs)[case.output] for inputs in case.singles])
    together = np.concatenate([runner.run(inputs)[case.output] for inputs in case.batches])
    assert alone.tolist() == together.tolist() == trained.predicted.tolist()
    assert trained.inputs.shape == (rows, columns)
    assert case.score(alone) == trained.accuracy >= floor


def test_training_can_be_repeated(tmp_path: Path) -> None:
    """Two trainings hold out the same rows and predict the same labels."""
    first, second = train_wine(tmp_path), train_wine(tmp_path)
    assert np.array_equal(first.inputs, second.inputs)
    assert first.predicted.tolist() == second.predicted.tolist()
