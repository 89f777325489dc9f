# SPDX-License-Identifier: Apache-2.0
"""ONNX models on the CPU through onnxruntime.

The session is made from bytes in memory, so what runs is what was verified; a path is never opened. A bundle holds one
``.onnx`` file; external weight files beside it are given to the runtime from memory as well, and a reference to any other
file is refused: by default the runtime would read it relative to the working directory, unverified, and a tenant could
read the host's files as weights. One session serves all instances: its weights are shared and ``run`` may be called from
several threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

from core.errors import ErrorCode, FuroshikiError, ModelError, OperatorError, TensorError, Unavailable
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from runners.interface import RunnerOptions, StopSignal

SUFFIX: Final = ".onnx"

# A folder that cannot exist, so that every external reference not answered from memory fails.
_NO_FOLDER: Final = "/dev/null/absent"

_REJECTIONS: Final = (InvalidArgument, Fail)
_NO_MEMORY: Final = ("Failed to allocate memory", "std::bad_alloc")

_DTYPES: Final = {
    "tensor(bool)": DType.BOOL,
    "tensor(uint8)": DType.UINT8,
    "tensor(uint16)": DType.UINT16,
    "tensor(uint32)": DType.UINT32,
    "tensor(uint64)": DType.UINT64,
    "tensor(int8)": DType.INT8,
    "tensor(int16)": DType.INT16,
    "tensor(int32)": DType.INT32,
    "tensor(int64)": DType.INT64,
    "tensor(float16)": DType.FP16,
    "tensor(bfloat16)": DType.BF16,
    "tensor(float)": DType.FP32,
    "tensor(double)": DType.FP64,
    "tensor(string)": DType.BYTES,
}


class OnnxCpuBackend:
    """Loads ``onnx`` bundles with the CPU execution provider."""

    name = "onnx-cpu"
    version: str = ort.__version__
    formats = frozenset({"onnx"})

    def load(self, files: Mapping[str, bytes], *, options: RunnerOptions) -> OnnxRunner:
        """Makes a session from the bundle's only ``.onnx`` file.

        Raises:
            ModelError: ``MODEL_003`` if there is not exactly one such file or the runtime refuses it.
        """
        models = [path for path in files if path.endswith(SUFFIX)]
        if len(models) != 1:
            raise ModelError(
                ErrorCode.MODEL_INVALID, f"The bundle holds {len(models)} '{SUFFIX}' files; expected exactly one."
            )
        weights = {path: data for path, data in files.items() if path != models[0]}
        return OnnxRunner(_open_session(files[models[0]], weights, options), weights)


def _open_session(model: bytes, weights: Mapping[str, bytes], options: RunnerOptions) -> ort.InferenceSession:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    # An arena keeps the most that any request ever needed; without it a run's memory goes back (0-3 % slower, measured).
    settings.enable_cpu_mem_arena = False
    # An idle pool that spins steals the core from the event loop of the same process.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.load_model_format", "ONNX")  # its own format skips the checker
    settings.add_session_config_entry("session.model_external_initializers_file_folder_path", _NO_FOLDER)
    if weights:
        settings.add_external_initializers_from_files_in_memory(
            list(weights), list(weights.values()), [len(data) for data in weights.values()]
        )
    try:
        session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:
        raise ModelError(ErrorCode.MODEL_INVALID, f"onnxruntime refuses the model: {_reason(error)}") from None
    # Kept by the wrapper only to open the session anew on other providers: a second copy of the whole model.
    session._model_bytes = None
    return session


class OnnxRunner:
    """One onnxruntime session.

    Args:
        session: The open session.
        weights: External weights; the session points into them, so they live as long as it does.
    """

    name = "onnx-cpu"

    def __init__(self, session: ort.InferenceSession, weights: Mapping[str, bytes]) -> None:
        self._weights = weights
        self.signature = _read_signature(session)
        self._session: ort.InferenceSession | None = session
        self._output_names = [spec.name for spec in self.signature.outputs]
        self._strings = [spec.name for spec in self.signature.inputs if spec.dtype is DType.BYTES]

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        session = self._session
        if session is None:
            raise Unavailable(ErrorCode.MODEL_NOT_READY, "The model was unloaded.", retry_after=1.0)
        feed = self._decode_strings(inputs) if self._strings else inputs
        options = None
        if stop is not None:
            options = ort.RunOptions()
            stop.on_stop(partial(setattr, options, "terminate", True))
        try:
            results = session.run(self._output_names, feed, options)
        except Exception as error:
            raise _failure(error) from None
        return dict(zip(self._output_names, results, strict=True))

    def _decode_strings(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        decoded = dict(inputs)
        for name in self._strings:
            try:
                flat = [element.decode() for element in inputs[name].ravel()]
            except UnicodeDecodeError:
                raise TensorError(ErrorCode.TENSOR_DATA, f"Input {name!r} holds bytes that are not UTF-8.") from None
            decoded[name] = np.array(flat, dtype=object).reshape(inputs[name].shape)
        return decoded

    def close(self) -> None:
        self._session = None
        self._weights = {}


def _read_signature(session: ort.InferenceSession) -> Signature:
    return Signature(
        inputs=tuple(_spec(node) for node in session.get_inputs()),
        outputs=tuple(_spec(node) for node in session.get_outputs()),
    )


def _spec(node: Any) -> TensorSpec:
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        hint = " Export with zipmap=False." if "map(" in node.type else ""
        raise ModelError(
            ErrorCode.MODEL_INVALID, f"Tensor {node.name!r} has type {node.type}; only plain tensors are served.{hint}"
        )
    shape = tuple(dim if isinstance(dim, int) and dim >= 0 else ANY for dim in node.shape)
    return TensorSpec(name=node.name, dtype=dtype, shape=shape)


def _failure(error: Exception) -> FuroshikiError:
    """Whose fault a failed run is: the runtime rejects values and shapes as InvalidArgument or Fail."""
    reason = _reason(error)
    if isinstance(error, MemoryError) or any(sign in reason for sign in _NO_MEMORY):
        return Unavailable(ErrorCode.DEVICE_UNAVAILABLE, "The device has no memory for this request.", retry_after=1.0)
    if isinstance(error, _REJECTIONS):
        return TensorError(ErrorCode.TENSOR_REJECTED, f"The model cannot process this input: {reason}")
    return OperatorError(
        ErrorCode.INFERENCE_FAILED, f"onnxruntime failed: {reason}", log_context={"cause": repr(error)}
    )


def _reason(error: Exception) -> str:
    """The runtime's own words on one line, without a local path or more than 400 characters."""
    return " ".join(str(error).split())[:400]
