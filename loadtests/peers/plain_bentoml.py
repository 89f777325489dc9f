# SPDX-License-Identifier: Apache-2.0
"""Plain BentoML services of the benchmark's MLP: one ``@api`` per request and one ``batchable``.

``MODEL`` names the ONNX file. Both use onnxruntime as this product does: one session, one intra-op thread.
"""

from __future__ import annotations

import os

import bentoml
import numpy as np
import numpy.typing as npt
import onnxruntime as ort


def _session() -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])


@bentoml.service(logging={"access": {"enabled": False}}, metrics={"enabled": True})
class Plain:
    """One execution per request."""

    def __init__(self) -> None:
        self.session = _session()

    @bentoml.api
    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        result: npt.NDArray[np.float32] = self.session.run(["probabilities"], {"X": x.astype(np.float32)})[0]
        return result


@bentoml.service(logging={"access": {"enabled": False}}, metrics={"enabled": True}, traffic={"timeout": 60})
class Batchable:
    """BentoML's own adaptive batching."""

    def __init__(self) -> None:
        self.session = _session()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10_000)
    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        result: npt.NDArray[np.float32] = self.session.run(["probabilities"], {"X": x.astype(np.float32)})[0]
        return result
