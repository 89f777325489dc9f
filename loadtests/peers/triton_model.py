# SPDX-License-Identifier: Apache-2.0
"""The ``model.py`` of Triton's Python backend: one onnxruntime execution for all requests Triton hands over together.

It is copied beside ``model.onnx`` into Triton's model repository and imports nothing of this repository.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import triton_python_backend_utils as backend


class TritonPythonModel:
    """What the backend looks for."""

    def initialize(self, args: Mapping[str, str]) -> None:
        config = json.loads(args["model_config"])
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._output = config["output"][0]["name"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        file = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        feed, rows = {}, [0]
        for name in self._inputs:
            arrays = [backend.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
            rows = [len(array) for array in arrays]
            feed[name] = arrays[0] if len(arrays) == 1 else _stack(arrays)
        merged = self._session.run([self._output], feed)[0]
        responses, start = [], 0
        for count in rows:
            tensor = backend.Tensor(self._output, merged[start : start + count])
            responses.append(backend.InferenceResponse([tensor]))
            start += count
        return responses


def _stack(arrays: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    longest = max(array.shape[1] for array in arrays)
    if any(array.shape[1] != longest for array in arrays):
        arrays = [np.pad(array, ((0, 0), (0, longest - array.shape[1]))) for array in arrays]
    return np.concatenate(arrays)
