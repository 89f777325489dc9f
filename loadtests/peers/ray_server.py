# SPDX-License-Identifier: Apache-2.0
"""``python -m loadtests.peers.ray_server PORT``: Ray Serve with ``@serve.batch``, on loopback alone."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from ray import serve
from starlette.requests import Request

from loadtests.peers.session import PeerModel


@serve.deployment(num_replicas=1, max_ongoing_requests=1000, logging_config={"enable_access_log": False})
class Model:
    """One replica."""

    def __init__(self) -> None:
        self.model = PeerModel()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001)
    async def run(self, rows: list[npt.NDArray[np.generic]]) -> list[npt.NDArray[np.float32]]:
        return list(self.model.run_all(rows))

    async def __call__(self, request: Request) -> dict[str, Any]:
        body = await request.json()
        row = await self.run(np.asarray(body["x"], self.model.dtype))
        return {"y": [row.tolist()]}


if __name__ == "__main__":
    environment = {name: os.environ[name] for name in ("MODEL", "PYTHONPATH")}
    ray.init(
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=os.environ["RAY_TMPDIR"],
        runtime_env={"env_vars": environment},
        log_to_driver=False,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Model.bind(), route_prefix="/predict")  # type: ignore[attr-defined] # the decorator adds it
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
