# SPDX-License-Identifier: Apache-2.0
"""Plain BentoML services: one execution per request (``Plain``) and BentoML's own adaptive batching (``Batchable``)."""

from __future__ import annotations

import bentoml
import numpy as np
import numpy.typing as npt

from loadtests.peers.session import PeerModel


@bentoml.service(logging={"access": {"enabled": False}}, metrics={"enabled": True}, traffic={"timeout": 60})
class Plain:
    """One execution per request."""

    def __init__(self) -> None:
        self.model = PeerModel()

    @bentoml.api
    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return self.model.run(x.astype(self.model.dtype))


@bentoml.service(logging={"access": {"enabled": False}}, metrics={"enabled": True}, traffic={"timeout": 60})
class Batchable:
    """BentoML's own adaptive batching. It concatenates, so all requests must have one shape."""

    def __init__(self) -> None:
        self.model = PeerModel()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10_000)
    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return self.model.run(x.astype(self.model.dtype))
