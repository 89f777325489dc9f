# SPDX-License-Identifier: Apache-2.0
"""Plain BentoML services of the benchmark's MLP: one ``@api`` per request and one ``batchable``."""

from __future__ import annotations

import bentoml
import numpy as np
import numpy.typing as npt

from loadtests.peers.session import open_session


@bentoml.service(logging={"access": {"enabled": False}}, metrics={"enabled": True})
class Plain:
    """One execution per request."""

    def __init__(self) -> None:
        self.session = open_session()

    @bentoml.api
    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        result: npt.NDArray[np.float32] = self.session.run(["probabilities"], {"X": x.astype(np.float32)})[0]
        return result


@bentoml.service(logging={"access": {"enabled": False}}, metrics={"enabled": True}, traffic={"timeout": 60})
class Batchable:
    """BentoML's own adaptive batching."""

    def __init__(self) -> None:
        self.session = open_session()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10_000)
    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        result: npt.NDArray[np.float32] = self.session.run(["probabilities"], {"X": x.astype(np.float32)})[0]
        return result
