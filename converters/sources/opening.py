# SPDX-License-Identifier: Apache-2.0
"""Opens what is only converted: reads its signature, and runs a factory so that a result can be compared with it.

A factory's outputs are known only from running it: it is run on two and on three rows, and a first dimension that follows is
a batch of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from converters.interface import refused
from converters.parity.execution import open_model
from converters.parity.interface import LoadedModel, Range, sizes_of
from converters.sources.factory import Description, describe
from core.tensors import ANY, Array, DType, Signature, TensorSpec, dtype_from_numpy

Run = Callable[[Mapping[str, Array]], dict[str, Array]]

_FREE: Final = (2, 3)  # rows
_OTHER: Final = 8  # of a free dimension besides the batch


class SourceModel:
    """A model that no runner loads. See :class:`converters.parity.interface.LoadedModel`."""

    ranges: Mapping[str, Range] = {}

    def __init__(self, run: Run, signature: Signature, distribution: str) -> None:
        self._run: Run | None = run
        self.runtime = (distribution, version(distribution))
        self.signature = signature
        self.sizes = sizes_of(signature)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs it once."""
        if self._run is None:
            raise RuntimeError("closed")
        return self._run(inputs)

    def close(self) -> None:
        """Frees its memory. May be called twice."""
        self._run = None


def open_source(folder: Path, model_format: str, signature: Signature | None) -> LoadedModel:
    """Opens a model of any format for comparison.

    Args:
        folder: The model's files and nothing else.
        model_format: As in a manifest.
        signature: Of its manifest.

    Raises:
        ModelError: ``MODEL_003`` with the reason if it cannot be run.
    """
    if model_format == "factory":
        return open_factory(folder)
    if model_format == "keras":
        from converters.sources.keras import keras_model, signature_of_model

        model = keras_model(folder)
        own = signature_of_model(model)
        return SourceModel(_called(model, own.inputs), own, "keras")
    return open_model(folder, model_format, signature)


def open_factory(folder: Path) -> SourceModel:
    """Runs a factory's code and what it builds.

    Raises:
        ModelError: ``MODEL_003`` with the reason if it cannot be built or run.
    """
    described = describe(folder)
    try:
        run = _RUNS[described.framework](folder, described)
        signature = Signature(inputs=described.inputs, outputs=_outputs(run, described))
        return SourceModel(run, signature, _DISTRIBUTIONS[described.framework])
    except ImportError as error:
        raise refused(f"{error.name} is not installed here.", step=f"factory({described.framework})") from None


def signature_of(folder: Path, model_format: str) -> Signature:
    """The tensors of a model that no runner loads.

    Raises:
        ModelError: ``MODEL_003`` if it is not valid, or is loaded by a runner.
    """
    if model_format == "factory":
        return open_factory(folder).signature
    if model_format == "jax_export":
        from converters.sources.flax import exported, exported_signature

        return exported_signature(exported(folder))
    if model_format == "keras":
        from converters.sources.keras import keras_model, signature_of_model

        return signature_of_model(keras_model(folder))
    raise refused("`python -m runners inspect` reads it.", step=model_format)


def _outputs(run: Run, described: Description) -> tuple[TensorSpec, ...]:
    try:
        first, second = (run(_zeros(described.inputs, rows)) for rows in _FREE)
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise refused(f"it does not run on zeros: {reason}", step=f"factory({described.framework})") from error
    free = any(spec.shape[:1] == (ANY,) for spec in described.inputs)
    return tuple(_spec(name, value, second[name], free=free) for name, value in first.items())


def _spec(name: str, two: Array, three: Array, *, free: bool) -> TensorSpec:
    shape = tuple(ANY if a != b else a for a, b in zip(two.shape, three.shape, strict=True)) if free else two.shape
    return TensorSpec(name=name, dtype=dtype_from_numpy(two.dtype), shape=shape)


def _zeros(specs: tuple[TensorSpec, ...], rows: int) -> dict[str, Array]:
    shapes = {
        spec.name: [(rows if axis == 0 else _OTHER) if size == ANY else size for axis, size in enumerate(spec.shape)]
        for spec in specs
    }
    fill = {spec.name: b"" if spec.dtype is DType.BYTES else 0 for spec in specs}
    return {spec.name: np.full(shapes[spec.name], fill[spec.name], spec.dtype.numpy) for spec in specs}


def _torch(folder: Path, described: Description) -> Run:
    import torch

    from converters.sources.torch import factory_module

    module, _ = factory_module(folder)

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        with torch.inference_mode():
            given = module(*(torch.from_numpy(np.array(inputs[spec.name])) for spec in described.inputs))
        return {name: value.numpy() for name, value in given.items()}

    return run


def _keras(folder: Path, described: Description) -> Run:
    from converters.sources.keras import factory_model

    return _called(factory_model(folder), described.inputs)


def _called(model: Any, specs: tuple[TensorSpec, ...]) -> Run:
    from converters.sources.keras import named_outputs

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        given: Mapping[str, Any] = named_outputs(model, [np.asarray(inputs[spec.name]) for spec in specs])
        return {name: np.asarray(value) for name, value in given.items()}

    return run


def _flax(folder: Path, described: Description) -> Run:
    import jax

    from converters.sources.flax import factory_function

    call = jax.jit(factory_function(folder)[0])

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        given = call(*(inputs[spec.name] for spec in described.inputs))
        return {name: np.asarray(value) for name, value in given.items()}

    return run


def _sklearn(folder: Path, described: Description) -> Run:
    from converters.sources.sklearn import factory_estimator, predictions

    estimator, _ = factory_estimator(folder)
    (spec,) = described.inputs

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        values = predictions(estimator, np.asarray(inputs[spec.name]))
        names = described.outputs or tuple(values)
        return dict(zip(names, values.values(), strict=True))

    return run


_RUNS: Final = {"torch": _torch, "keras": _keras, "flax": _flax, "sklearn": _sklearn}
_DISTRIBUTIONS: Final = {"torch": "torch", "keras": "keras", "flax": "flax", "sklearn": "scikit-learn"}
