# SPDX-License-Identifier: Apache-2.0
"""SavedModels, run through one of their signatures.

TensorFlow has one pool of threads per process, sized when the first model is loaded: ``threads`` of the first counts for all,
and executions in flight share it. Results come out without a copy where TensorFlow lends its memory; inputs are copied in.
A stop is heeded before an execution only: TensorFlow's cancellation of functions is a global variable, which executions in
other threads would share.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before the import: its talk would drown the log

import tensorflow as tf

from artifacts.formats import FORMATS
from core.tensors import ANY, Array, DType, Shape, Signature, TensorSpec, dtype_from_numpy
from runners.backends.failures import check_not_stopped, check_shapes, failure, invalid, refused, unloaded
from runners.backends.tensorflow.folder import saved_model_folder
from runners.backends.tensorflow.graph import check_graph
from runners.interface import RunnerOptions, StopSignal

RUNTIME: Final = "TensorFlow"
DEFAULT: Final = "serving_default"
_REJECTIONS: Final = (
    *(tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, tf.errors.UnimplementedError),
    *(ValueError, TypeError),
)


class TensorflowBackend:
    """Loads ``saved_model`` bundles on the CPU."""

    name = "tensorflow-cpu"
    version: str = tf.__version__
    formats = frozenset({"saved_model"})

    def load(self, files: Mapping[str, bytes], *, options: RunnerOptions) -> TensorflowRunner:
        """Loads the bundle's SavedModel.

        Raises:
            ModelError: ``MODEL_003`` if the runtime refuses it, it has operators that reach beyond it, or no such signature.
        """
        check_graph(files[FORMATS["saved_model"].main(files)])
        _limit_threads(options.threads)
        try:
            with saved_model_folder(files) as folder, tf.device("/CPU:0"):
                model = tf.saved_model.load(str(folder))
        except Exception as error:
            raise refused(RUNTIME, error) from None
        name = options.entry or DEFAULT
        function = model.signatures.get(name)
        if function is None:
            names = ", ".join(map(repr, model.signatures)) or "none"
            raise invalid(f"The model has no signature {name!r}; it has {names}.")
        return TensorflowRunner(model, function)


def _limit_threads(threads: int) -> None:
    with suppress(RuntimeError):  # the pool exists already
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)


class TensorflowRunner:
    """One signature of a loaded SavedModel.

    Args:
        model: What ``tf.saved_model.load`` returned; its variables live as long as it does.
        function: The signature's concrete function.
    """

    name = "tensorflow-cpu"

    def __init__(self, model: Any, function: Any) -> None:
        _, inputs = function.structured_input_signature
        outputs = function.structured_outputs
        self.signature = Signature(
            inputs=tuple(_spec(name, inputs[name]) for name in inputs),
            outputs=tuple(_spec(name, outputs[name]) for name in outputs),
        )
        self._model: Any = model
        self._function: Any = function
        self._dtypes = {name: spec.dtype for name, spec in inputs.items()}

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        function = self._function
        if function is None:
            raise unloaded()
        check_not_stopped(stop)
        check_shapes(self.signature, inputs)
        try:
            results = function(**{name: tf.constant(inputs[name], dtype=dtype) for name, dtype in self._dtypes.items()})
            return {spec.name: _array(results[spec.name], spec.dtype) for spec in self.signature.outputs}
        except Exception as error:
            raise failure(RUNTIME, error, rejections=_REJECTIONS) from None

    def close(self) -> None:
        self._function = None
        self._model = None


def _spec(name: str, spec: Any) -> TensorSpec:
    if spec.shape.rank is None:
        raise invalid(f"Tensor {name!r} has no fixed number of dimensions; export with an input signature.")
    shape: Shape = tuple(ANY if size is None else int(size) for size in spec.shape)
    dtype = DType.BYTES if spec.dtype == tf.string else dtype_from_numpy(np.dtype(spec.dtype.as_numpy_dtype))
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def _array(tensor: Any, dtype: DType) -> Array:
    """The tensor's memory, kept alive by the array; strings are copied."""
    if dtype in (DType.BYTES, DType.BF16):
        return np.asarray(tensor.numpy(), dtype.numpy)
    return np.asarray(memoryview(tensor))
