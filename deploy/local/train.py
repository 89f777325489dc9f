# SPDX-License-Identifier: Apache-2.0
"""The demo's models: classifiers of scikit-learn's real digits and wine data, exported to ONNX.

Digits: 1,797 handwritten digits of 8 x 8 pixels, 360 held out. Wine: 178 wines with 13 measurements, 36 held out. The
split is stratified with a fixed seed, so accuracies can be compared between runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from skl2onnx import to_onnx
from sklearn.datasets import load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deploy.local.case import Array, Case

INPUT: Final = "X"  # FP32 [rows, columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained classifier, its ONNX file and the rows it has never seen."""

    name: str
    file: Path
    inputs: npt.NDArray[np.float32]  # held-out rows
    labels: npt.NDArray[np.int64]  # their true labels
    predicted: npt.NDArray[np.int64]  # what scikit-learn predicts for them in process
    description: str

    @property
    def accuracy(self) -> float:
        """In process, on the held-out rows."""
        return self.accuracy_of(self.predicted)

    def accuracy_of(self, predicted: Array) -> float:
        """The share of the held-out rows that ``predicted`` gets right."""
        return float((predicted == self.labels).mean())

    def case(self) -> Case:
        """What the demo sends and expects: every label exactly."""
        return Case(
            name=self.name,
            file=self.file,
            description=self.description,
            singles=[{INPUT: row[None]} for row in self.inputs],
            batches=[{INPUT: self.inputs}],
            output="label",
            expected=self.predicted,
            tolerance=0,
            unit="rows",
            measure="accuracy",
            score=self.accuracy_of,
        )


def train_digits(folder: Path) -> Trained:
    """An MLP 64-256-256-10."""
    model = make_pipeline(StandardScaler(), MLPClassifier((256, 256), max_iter=100, random_state=0))
    file = folder / "digits.onnx"
    return _train(
        model, load_digits(return_X_y=True), file, held_out=360, description="Handwritten digits, 8 x 8 pixels"
    )


def train_wine(folder: Path) -> Trained:
    """A logistic regression over 13 measurements."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    file = folder / "wine.onnx"
    return _train(
        model, load_wine(return_X_y=True), file, held_out=36, description="Three cultivars by 13 measurements"
    )


def _train(model: Any, data: tuple[Any, Any], file: Path, *, held_out: int, description: str) -> Trained:
    rows, labels = data[0].astype(np.float32), data[1].astype(np.int64)
    seen, unseen, seen_labels, unseen_labels = train_test_split(
        rows, labels, test_size=held_out, stratify=labels, random_state=0
    )
    model.fit(seen, seen_labels)
    exported = to_onnx(model, seen[:1], options={"zipmap": False}, target_opset=18)
    file.write_bytes(exported.SerializeToString())
    return Trained(
        name=file.stem,
        file=file,
        inputs=unseen,
        labels=unseen_labels,
        predicted=model.predict(unseen),
        description=description,
    )
