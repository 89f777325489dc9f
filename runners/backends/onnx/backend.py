# SPDX-License-Identifier: Apache-2.0
"""ONNX models through onnxruntime.

The session is made from bytes in memory, so what runs is what was verified; a path is never opened. A bundle holds one
``.onnx`` file; external weight files beside it are given to the runtime from memory as well, and a reference to any other
file is refused: by default the runtime would read it relative to the working directory, unverified, and a tenant could
read the host's files as weights. One session serves all instances: its weights are shared and ``run`` may be called from
several threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

from core.errors import ErrorCode, TensorError
from core.tensors import Array, DType
from runners.backends.failures import failure, invalid, refused, unloaded
from runners.backends.onnx.cuda import BoundSession
from runners.backends.onnx.precision import precision_of
from runners.backends.onnx.providers import Providers, obtained, opened, wanted
from runners.backends.onnx.signature import read_signature
from runners.interface import RunnerOptions, StopSignal
from runners.precision import precision_of_edges

SUFFIX: Final = ".onnx"
RUNTIME: Final = "onnxruntime"

# A folder that cannot exist, so that every external reference not answered from memory fails.
_NO_FOLDER: Final = "/dev/null/absent"
_REJECTIONS: Final = (InvalidArgument, Fail)
CUDA: Final = frozenset({"cuda", "tensorrt"})  # their memory is not the host's: inputs and outputs are bound


class OnnxBackend:
    """Loads ``onnx`` bundles.

    Args:
        device: Whose execution provider is asked for, see :mod:`runners.backends.onnx.providers`.
    """

    version: str = ort.__version__
    formats = frozenset({"onnx"})

    def __init__(self, device: str = "cpu") -> None:
        self.name = f"onnx-{device}"
        self._device = device
        if device in CUDA:
            ort.preload_dlls()  # of the nvidia packages that pip installs, which the dynamic loader does not search

    def load(self, files: Mapping[str, bytes], *, options: RunnerOptions) -> OnnxRunner:
        """Makes a session from the bundle's only ``.onnx`` file.

        Raises:
            ModelError: ``MODEL_003`` if there is not exactly one such file or the runtime refuses it.
            Unavailable: ``DEVICE_001`` if the device has no memory for it.
        """
        models = [path for path in files if path.endswith(SUFFIX)]
        if len(models) != 1:
            raise invalid(f"The bundle holds {len(models)} '{SUFFIX}' files; expected exactly one.")
        weights = {path: data for path, data in files.items() if path != models[0]}
        session = _open_session(files[models[0]], weights, options, self._device)
        return OnnxRunner(
            session, weights, device=obtained(session, self._device), precision=precision_of(files[models[0]])
        )


def _open_session(
    model: bytes, weights: Mapping[str, bytes], options: RunnerOptions, device: str
) -> ort.InferenceSession:
    def open_session(providers: Providers) -> ort.InferenceSession:
        return ort.InferenceSession(model, _settings(weights, options), providers=providers, enable_fallback=0)

    try:
        session = opened(open_session, wanted(device, ort.get_available_providers()))
    except Exception as error:
        raise refused(RUNTIME, error) from None
    # Kept by the wrapper only to open the session anew on other providers: a second copy of the whole model.
    session._model_bytes = None
    return session


def _settings(weights: Mapping[str, bytes], options: RunnerOptions) -> ort.SessionOptions:
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
    return settings


class OnnxRunner:
    """One onnxruntime session.

    Args:
        session: The open session.
        weights: External weights; the session points into them, so they live as long as it does.
        device: What the session really computes on.
        precision: Of the model's weights; None: they do not tell.
    """

    def __init__(
        self, session: ort.InferenceSession, weights: Mapping[str, bytes], *, device: str, precision: str | None
    ) -> None:
        self.name = f"onnx-{device}"
        self.signature = read_signature(session)
        self.precision = precision or precision_of_edges(self.signature)
        self._weights = weights
        self._session: ort.InferenceSession | BoundSession | None = session
        self._output_names = [spec.name for spec in self.signature.outputs]
        self._strings = [spec.name for spec in self.signature.inputs if spec.dtype is DType.BYTES]
        if device in CUDA and BoundSession.suits(self.signature):
            self._session = BoundSession(session, self.signature)

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        session = self._session
        if session is None:
            raise unloaded()
        feed = self._decode_strings(inputs) if self._strings else inputs
        options = None
        if stop is not None:
            options = ort.RunOptions()
            stop.on_stop(partial(setattr, options, "terminate", True))
        try:
            results = session.run(self._output_names, feed, options)
        except Exception as error:
            raise failure(RUNTIME, error, rejections=_REJECTIONS) from None
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
