# SPDX-License-Identifier: Apache-2.0
"""scikit-learn factories to ONNX by skl2onnx. Rows stay free; classifiers give ``label`` and ``probabilities``."""

from __future__ import annotations

from pathlib import Path

import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType
from sklearn.base import is_classifier

from converters.interface import MAIN_FILE, ConvertOptions, reason_of, refused
from converters.recipes.onnx_files import rename
from converters.sources.sklearn import factory_estimator
from core.tensors import DType

STEP = "factory_sklearn_to_onnx"
_TYPES = {DType.FP32: FloatTensorType, DType.FP64: DoubleTensorType, DType.INT64: Int64TensorType}


def from_factory(source: Path, target: Path, options: ConvertOptions) -> None:
    """Converts; see :meth:`converters.interface.Recipe.convert`."""
    estimator, described = factory_estimator(source)
    (given,) = described.inputs
    kind = _TYPES.get(given.dtype)
    if kind is None:
        raise refused(f"input {given.name!r} has datatype {given.dtype.oip}; expected FP32, FP64 or INT64.", step=STEP)
    try:
        model = to_onnx(
            estimator,
            initial_types=[(given.name, kind([None, given.shape[1]]))],
            options={id(estimator): {"zipmap": False}} if is_classifier(estimator) else None,
            target_opset={"": options.opset, "ai.onnx.ml": 3},
        )
    except Exception as error:
        raise refused(reason_of(error), step=STEP) from error
    names = described.output_names(len(model.graph.output)) if described.outputs else ()
    rename(model, {value.name: name for value, name in zip(model.graph.output, names, strict=False)})
    onnx.save(model, target / MAIN_FILE["onnx"])
