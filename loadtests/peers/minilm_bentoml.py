# SPDX-License-Identifier: Apache-2.0
"""Plain BentoML services of all-MiniLM-L6-v2: one ``@api`` per request and one ``batchable``.

They take token ids alone and make the mask themselves (padding is id 0), which spares them half the JSON of a request.
"""

from __future__ import annotations

import bentoml
import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from loadtests.peers.session import open_session


def _embed(session: ort.InferenceSession, input_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    ids = input_ids.astype(np.int64)
    feed = {"input_ids": ids, "attention_mask": (ids != 0).astype(np.int64)}
    result: npt.NDArray[np.float32] = session.run(["sentence_embedding"], feed)[0]
    return result


@bentoml.service(logging={"access": {"enabled": False}}, metrics={"enabled": True}, traffic={"timeout": 60})
class Plain:
    """One execution per request."""

    def __init__(self) -> None:
        self.session = open_session()

    @bentoml.api
    def predict(self, input_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return _embed(self.session, input_ids)


@bentoml.service(logging={"access": {"enabled": False}}, metrics={"enabled": True}, traffic={"timeout": 60})
class Batchable:
    """BentoML's own adaptive batching."""

    def __init__(self) -> None:
        self.session = open_session()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10_000)
    def predict(self, input_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return _embed(self.session, input_ids)
