# SPDX-License-Identifier: Apache-2.0
"""scikit-learn factories: an estimator whose fitted attributes are the arrays of ``weights.safetensors``.

``build()`` gives the unfitted estimator and sets what is no array. Array names are attribute paths: ``coef_``,
``steps.0.1.mean_``, ``coefs_.0``. Trees and ensembles keep their state in compiled objects that only a pickle holds: convert
those to ONNX yourself (skl2onnx) and push the ONNX file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from converters.interface import refused
from converters.sources.factory import Description, build, describe, weights
from core.tensors import Array

STEP: Final = "factory(sklearn)"


def factory_estimator(folder: Path) -> tuple[Any, Description]:
    """Builds the estimator of a factory and gives it its fitted attributes.

    Raises:
        ModelError: ``MODEL_003`` if it cannot be built, a path names nothing, or it is not fitted afterwards.
    """
    described, estimator, given = describe(folder), build(folder), weights(folder)
    if not isinstance(estimator, BaseEstimator):
        raise refused(f"build() gave a {type(estimator).__name__}; expected a scikit-learn estimator.", step=STEP)
    if len(described.inputs) != 1 or len(described.inputs[0].shape) != 2:
        raise refused("factory.json must name one input of shape [-1, features].", step=STEP)
    for path, array in sorted(given.items()):
        _set(estimator, path, array)
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise refused("the estimator is not fitted by the arrays of weights.safetensors.", step=STEP) from None
    return estimator, described


def _set(estimator: Any, path: str, array: Array) -> None:
    *parents, leaf = path.split(".")
    owner: Any = estimator
    for parent in parents:
        owner = _member(owner, parent, path)
    if not leaf.isdigit():
        setattr(owner, leaf, array)
    elif isinstance(owner, list) and int(leaf) == len(owner):
        owner.append(array)
    elif isinstance(owner, list) and int(leaf) < len(owner):
        owner[int(leaf)] = array
    else:
        raise refused(f"weight {path!r} leaves a gap in its list.", step=STEP)


def _member(owner: Any, name: str, path: str) -> Any:
    if name.isdigit():
        if isinstance(owner, list | tuple) and int(name) < len(owner):
            return owner[int(name)]
    elif name.endswith("_") and not hasattr(owner, name):
        setattr(owner, name, [])  # a list of arrays, such as coefs_
        return getattr(owner, name)
    elif hasattr(owner, name):
        return getattr(owner, name)
    raise refused(f"weight {path[:120]!r} names nothing of the estimator.", step=STEP)


def predictions(estimator: Any, rows: Array) -> dict[str, Array]:
    """What skl2onnx's graph of an estimator gives, computed by scikit-learn, under the same names."""
    import numpy as np
    from sklearn.base import is_classifier

    if is_classifier(estimator):
        scores = (
            estimator.predict_proba(rows) if hasattr(estimator, "predict_proba") else estimator.decision_function(rows)
        )
        return {"label": estimator.predict(rows), "probabilities": np.asarray(scores, np.float32)}
    if hasattr(estimator, "predict"):
        return {"variable": np.asarray(estimator.predict(rows), np.float32).reshape(len(rows), -1)}
    return {"variable": np.asarray(estimator.transform(rows), np.float32)}
